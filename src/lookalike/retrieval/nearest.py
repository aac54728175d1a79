"""The k nearest rows, tile by tile, with every tie settled.

Memory is one tile of products. All products have one shape, so a number does not depend on which
rows it was computed beside.
"""

# Shape letters: Q = queries, G = gallery, D = embedding, B = queries in a block, N = items in a
# tile, K = neighbours

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lookalike.retrieval.shares import in_shares

ROWS, COLUMNS = 256, 4096


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


class Products:
    """Inner products of blocks of queries with a gallery, tile by tile, all in one shape.

    Args:
        gallery: ``[G, D]`` on the CPU.
        num_queries: In all blocks together; a small number makes small tiles.

    Example:
        >>> [(start, tile.tolist()) for start, tile in Products(torch.eye(2), 1).of(torch.eye(2))]
        [(0, [[1.0, 0.0], [0.0, 1.0]])]
    """

    def __init__(self, gallery: Tensor, num_queries: int) -> None:
        self.gallery = gallery.contiguous()
        self.rows = _fixed(num_queries, ROWS)
        self.columns = _fixed(len(gallery), COLUMNS)
        self.buffer = gallery.new_empty(self.rows, self.columns)

    def of(self, block: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Yield where a tile starts, and its products ``[B, N]``, overwritten by the next.

        Args:
            block: ``[B, D]``, at most ``rows`` of them.
        """
        padded = _pad(block, self.rows)
        for start in range(0, len(self.gallery), self.columns):
            piece = self.gallery[start : start + self.columns]
            torch.mm(padded, _pad(piece, self.columns).T, out=self.buffer)
            yield start, self.buffer[: len(block), : len(piece)]


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

    With numba and without the result is the same, tie by tie.

    Args:
        query: ``[Q, D]`` on the CPU.
        gallery: ``[G, D]`` of the same type.
        k: Items per query, at least 1; more than the gallery has are not returned.
        squares: Squared lengths ``[Q]`` and ``[G]``; given, the nearest are those at the smallest
            Euclidean distance instead of those with the largest inner product.
        own: ``[Q]`` row of the gallery that is the query itself; -1 for none.
        own_key: Put in the place of the query's own key: -inf leaves it out, inf puts it first.

    Example:
        >>> points = torch.tensor([[1.0], [1.0], [3.0]])
        >>> nearest_rows(points, points, 2).numbers.tolist()
        [[2, 0], [2, 0], [2, 0]]
    """
    products = Products(gallery, len(query))
    parts = []
    for rows in torch.split(torch.arange(len(query)), products.rows):
        keys = query.new_full((len(rows), min(k, len(gallery))), float("-inf"))
        numbers = torch.zeros(keys.shape, dtype=torch.int32)
        lowest = query.new_full((len(rows),), float("inf"))
        for start, tile in products.of(query[rows]):
            if squares is not None:
                here = squares[1][start : start + tile.shape[1]]
                negative_squared(tile, squares[0][rows], here)
            at = _own_places(own, rows, start, tile.shape[1])
            tile[at] = float("inf")
            torch.minimum(lowest, tile.amin(dim=1), out=lowest)
            tile[at] = own_key
            _keep_best(start, tile, keys, numbers)
        parts.append(Nearest(keys, numbers, lowest))
    return Nearest(
        torch.cat([part.keys for part in parts]),
        torch.cat([part.numbers for part in parts]),
        torch.cat([part.lowest for part in parts]),
    )


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


def _own_places(own: Tensor | None, rows: Tensor, start: int, width: int) -> tuple[Tensor, Tensor]:
    if own is None:
        return torch.arange(0), torch.arange(0)
    columns = own[rows] - start
    inside = ((own[rows] >= 0) & (columns >= 0) & (columns < width)).nonzero()[:, 0]
    return inside, columns[inside]


def _keep_best(start: int, tile: Tensor, keys: Tensor, numbers: Tensor) -> None:
    kernel = _kernel()
    if kernel is None:
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
    """Return the compiled function, or None where numba is missing."""
    try:
        from lookalike.retrieval.compiled_neighbours import keep_best
    except ImportError:
        return None
    return keep_best


def _fixed(number: int, most: int) -> int:
    """Return the fixed size for so many rows: a power of two, at most ``most``.

    Example:
        >>> _fixed(3, 256), _fixed(40, 256), _fixed(999, 256)
        (16, 64, 256)
    """
    return max(16, min(most, 1 << max(number - 1, 0).bit_length()))


def _pad(piece: Tensor, rows: int) -> Tensor:
    """Return a piece with rows of zeros behind it."""
    if len(piece) == rows:
        return piece.contiguous()
    padded = piece.new_zeros(rows, piece.shape[1])
    padded[: len(piece)] = piece
    return padded
