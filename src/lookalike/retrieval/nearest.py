"""The k nearest rows, tile by tile, with every tie settled.

Memory is one tile of products. All products have one shape, so a number does not depend on which
rows it was computed beside.
"""

# Shape letters: Q = queries, G = gallery, D = embedding, B = queries in a block, N = items in a
# tile, K = neighbours

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lookalike.compiling import kernels_in
from lookalike.geometry import unit
from lookalike.retrieval.products import GalleryProducts
from lookalike.retrieval.rows import read_pair
from lookalike.retrieval.shares import in_shares
from lookalike.table_parts import check_count, read_integers


@dataclass(frozen=True)
class Nearest:
    """The nearest items of each query, nearest first.

    Attributes:
        keys: ``[Q, K]``: inner products, or squared distances with the sign turned; -inf where
            there are fewer items.
        numbers: ``[Q, K]`` int32: rows of the gallery; 0 where the key is -inf.
        lowest: ``[Q]``: the smallest key of any item but the query's own.
    """

    keys: Tensor
    numbers: Tensor
    lowest: Tensor


def nearest_neighbours(
    query: Tensor,
    gallery: Tensor,
    k: int,
    *,
    normalize: bool = True,
    exclude: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return similarities and gallery rows of the most similar items of each query, best first.

    Embeddings are compared by cosine, as :func:`evaluate_retrieval` compares them. A row of zeros
    has no direction; its similarity to every item is 0. Of equally similar items the one with the
    smaller row is first.

    Args:
        query: ``[Q, D]`` of a real type.
        gallery: ``[G, D]`` of a real type, on the same device. If one of the two is float64, they
            are compared in float64, otherwise in float32.
        k: Items per query, at least 1. A k beyond the gallery returns the whole gallery.
        normalize: False compares by inner product, which the lengths of embeddings enter.
        exclude: ``[Q]`` gallery row each query must not return (itself); -1 for none. Where nothing
            else is left the similarity is -inf and the row 0.

    Returns:
        Two tensors ``[Q, min(k, G)]``, the second int64.

    Raises:
        DataError: If a table is empty, their widths differ, a number is not finite, or inner
            products would overflow or vanish.
        ValueError: If k is no whole number of at least 1, or ``exclude`` does not fit.

    Example:
        >>> query, gallery = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.9, 0.0], [9.0, 9.0]])
        >>> nearest_neighbours(query, gallery, 1)[1], nearest_neighbours(
        ...     query, gallery, 1, normalize=False
        ... )[1]
        (tensor([[0]]), tensor([[1]]))
    """
    query, gallery = read_pair(query, gallery, "a search", any_scale=normalize)
    if normalize:
        query, gallery = unit(query), unit(gallery)
    found = nearest_rows(query, gallery, k, own=exclude)
    return found.keys, found.numbers.long()


def nearest_rows(
    query: Tensor,
    gallery: Tensor,
    k: int,
    *,
    squares: tuple[Tensor, Tensor] | None = None,
    own: Tensor | None = None,
    own_key: float = float("-inf"),
) -> Nearest:
    """Find the nearest items of every query; of equally near ones those with the smallest row.

    Rows are compared as they are, by inner product or Euclidean distance. With numba and without
    the result is the same, tie by tie.

    Args:
        query: ``[Q, D]``, finite.
        gallery: ``[G, D]``, finite, of the same type, on the same device.
        k: Items per query, at least 1; more than the gallery has are not returned.
        squares: Squared lengths ``[Q]`` and ``[G]``; given, the nearest are those at the smallest
            Euclidean distance instead of those with the largest inner product.
        own: ``[Q]`` row of the gallery that is the query itself; -1 for none.
        own_key: Put in the place of the query's own key: -inf leaves it out, inf puts it first.

    Raises:
        DataError: If a table is empty, their widths differ or a number is not finite.
        ValueError: If k is no whole number of at least 1, or ``squares`` or ``own`` does not fit.

    Example:
        >>> points = torch.tensor([[1.0], [1.0], [3.0]])
        >>> nearest_rows(points, points, 2).numbers.tolist()
        [[2, 0], [2, 0], [2, 0]]
    """
    query, gallery = read_pair(query, gallery, "a search")
    own = _checked(k, len(query), gallery, squares, own)
    squares = None if squares is None else (squares[0].detach(), squares[1].detach())
    products = GalleryProducts(gallery, len(query))
    # made once: small pieces kept between large temporaries would tear the heap to shreds
    keys = query.new_full((len(query), min(k, len(gallery))), float("-inf"))
    numbers = torch.zeros(keys.shape, dtype=torch.int32, device=query.device)
    lowest = query.new_full((len(query),), float("inf"))
    for first in range(0, len(query), products.rows):
        rows = slice(first, first + products.rows)
        for start, tile in products.of(query[rows]):
            if squares is not None:
                here = squares[1][start : start + tile.shape[1]]
                negative_squared(tile, squares[0][rows], here)
            at = _own_places(own, rows, start, tile.shape[1])
            tile[at] = float("inf")
            torch.minimum(lowest[rows], tile.amin(dim=1), out=lowest[rows])
            tile[at] = own_key
            _keep_best(start, tile, keys[rows], numbers[rows])
    return Nearest(keys, numbers, lowest)


def _checked(
    k: int,
    num_queries: int,
    gallery: Tensor,
    squares: tuple[Tensor, Tensor] | None,
    own: Tensor | None,
) -> Tensor | None:
    """Refuse what would be read or written outside of a table; return ``own`` on its device."""
    check_count(k, "k")
    number = len(gallery)
    if number > torch.iinfo(torch.int32).max:
        raise ValueError(f"a gallery has at most 2^31 - 1 rows, got {number:,}.")
    for values, expected in zip(squares or (), (num_queries, number), strict=False):
        if values.shape != (expected,) or values.dtype != gallery.dtype:
            raise ValueError(
                f"squares: {expected} of {gallery.dtype} expected, got {values.shape}."
            )
        if not torch.isfinite(values).all():
            raise ValueError("squares: finite numbers expected.")
    if own is None:
        return None
    own = read_integers(own, num_queries, "exclude")
    if num_queries and not -1 <= int(own.min()) <= int(own.max()) < number:
        raise ValueError(f"exclude: rows from 0 to {number - 1}, or -1, expected.")
    return own.to(gallery.device)


def negative_squared(products: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Turn inner products ``[B, N]``, in place, into squared distances with the sign turned.

    Args:
        products: Of rows of squared lengths ``left`` with rows of squared lengths ``right``.
        left: ``[B]``.
        right: ``[N]``.

    Example:
        >>> negative_squared(torch.tensor([[6.0]]), torch.tensor([4.0]), torch.tensor([9.0]))
        tensor([[-1.]])
    """
    return products.mul_(2.0).sub_(left[:, None] + right).clamp_max_(0.0)


def _own_places(own: Tensor | None, rows: slice, start: int, width: int) -> tuple[Tensor, Tensor]:
    if own is None:
        return torch.arange(0), torch.arange(0)
    columns = own[rows] - start
    inside = ((own[rows] >= 0) & (columns >= 0) & (columns < width)).nonzero()[:, 0]
    return inside, columns[inside]


def _keep_best(start: int, tile: Tensor, keys: Tensor, numbers: Tensor) -> None:
    kernel = _kernel()
    if kernel is None or tile.device.type != "cpu":
        _keep_best_plainly(start, tile, keys, numbers)
    else:
        arrays = (tile.numpy(), keys.numpy(), numbers.numpy())
        in_shares(kernel, len(tile), start, *arrays)


def _keep_best_plainly(start: int, tile: Tensor, keys: Tensor, numbers: Tensor) -> None:
    """Select with tensor operations; rows with a tie at the border are sorted as a whole."""
    most = keys.shape[1]
    joined = torch.cat([keys, tile], dim=1)
    border = joined.topk(most, dim=1)
    place = border.indices.sort(dim=1).values
    order = joined.gather(1, place).sort(dim=1, descending=True, stable=True).indices
    place = place.gather(1, order)
    tied = ((joined >= border.values[:, -1:]).sum(dim=1) > most).nonzero()[:, 0]
    if len(tied):
        whole = joined[tied].sort(dim=1, descending=True, stable=True).indices
        place[tied] = whole[:, :most]
    before = numbers.gather(1, place.clamp_max(most - 1))
    fresh = (place - most + start).int()
    keys.copy_(joined.gather(1, place))
    numbers.copy_(torch.where(place < most, before, fresh).masked_fill(keys == -torch.inf, 0))


@cache
def _kernel() -> Any:
    """Return the compiled function, or None where numba is missing or does not work."""
    return getattr(kernels_in("lookalike.retrieval.compiled_neighbours"), "keep_best", None)
