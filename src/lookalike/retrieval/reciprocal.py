"""Images described by their k-reciprocal neighbours."""

# Shape letters: N = images, D = embedding, B = images in a block, K = neighbours

from __future__ import annotations

import torch
from torch import Tensor

from lookalike.retrieval.sparse import SparseRows

_BLOCK = 512
_NUMBERS = 1 << 22
"""Coordinates, or neighbours of neighbours, that are gathered at a time; one image's at least."""


def describe(points: Tensor, near: Tensor, scale: Tensor, k1: int) -> SparseRows:
    """Describe every image by its reciprocal neighbours, and theirs, weighted by ``exp(-d)``.

    Theirs join if more than two thirds of them are its own as well.

    Args:
        points: ``[N, D]`` float32.
        near: ``[N, K]`` int32: the nearest of each image, itself first.
        scale: ``[N]``: the squared distance of each image that is taken for 1.
        k1: Neighbours that may be reciprocal; those of neighbours are half as many, rounded to
            even as the authors' program does.

    Returns:
        ``[N, N]``, each row of sum 1.

    Example:
        >>> near = torch.tensor([[0, 1], [1, 0], [2, 1]], dtype=torch.int32)
        >>> describe(torch.zeros(3, 1), near, torch.ones(3), 1).sizes
        tensor([2, 2, 1])
    """
    half = round(k1 / 2)
    rows = _blocks(len(near), min(k1 + 1, near.shape[1]) ** 2)
    own = torch.cat([_reciprocal(near, some, k1) for some in rows])
    theirs = torch.cat([_reciprocal(near, some, half) for some in rows])
    parts = []
    for some in rows:
        owner, columns = _members(near, own, theirs, some)
        weights = (-_squared(points, some[owner], columns) / scale[some][owner]).exp()
        sums = torch.bincount(owner, weights.double(), minlength=len(some))
        sizes = torch.bincount(owner, minlength=len(some))
        parts.append(SparseRows.of(sizes, columns, weights / sums[owner]))
    return SparseRows.joined(parts)


def averaged(described: SparseRows, near: Tensor, k2: int) -> SparseRows:
    """Average the descriptions of the ``k2`` nearest of every image.

    Example:
        >>> rows = SparseRows.of(torch.tensor([1, 1]), torch.tensor([0, 1]), torch.ones(2))
        >>> averaged(rows, torch.tensor([[0, 1], [1, 0]]), 2).weights.tolist()
        [0.5, 0.5, 0.5, 0.5]
    """
    around = near[:, :k2]
    parts = []
    most = int(described.sizes.max()) * around.shape[1]
    for some in _blocks(len(near), most):
        owner, place = described.entries(around[some].flatten().long())
        keys = owner // around.shape[1] * len(near) + described.columns[place]
        found, inverse = torch.unique(keys, return_inverse=True)
        sums = torch.bincount(inverse, described.weights[place].double())
        sizes = torch.bincount(found // len(near), minlength=len(some))
        parts.append(SparseRows.of(sizes, found % len(near), sums / around.shape[1]))
    return SparseRows.joined(parts)


def _blocks(number: int, numbers_each: int) -> tuple[Tensor, ...]:
    """Cut the images into blocks of a bounded size."""
    step = max(1, min(_BLOCK, _NUMBERS // max(numbers_each, 1)))
    return torch.split(torch.arange(number), step)


def _reciprocal(near: Tensor, rows: Tensor, k: int) -> Tensor:
    """Tell which of the k nearest of some images have them among theirs, ``[B, k + 1]``."""
    ahead = near[rows, : k + 1]
    back = near[:, : k + 1][ahead.long()]
    return (back == rows[:, None, None]).any(dim=2)


def _members(near: Tensor, own: Tensor, theirs: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the neighbours that describe some images: place in ``rows`` and number of each."""
    number, few = len(near), theirs.shape[1]
    mine = near[rows, : own.shape[1]].long()
    real = own[rows]
    further = near[:, :few][mine].long()
    exist = theirs[mine] & real[:, :, None]
    known = mine.masked_fill(~real, number).sort(dim=1).values
    flat = further.flatten(1)
    place = torch.searchsorted(known, flat).clamp_max(known.shape[1] - 1)
    inside = (known.gather(1, place) == flat).view_as(further) & exist
    joins = exist & (3 * inside.sum(dim=2) > 2 * exist.sum(dim=2))[:, :, None]
    offset = torch.arange(len(rows))[:, None] * number
    keys = torch.cat([(mine + offset)[real], (further + offset[:, :, None])[joins]])
    keys = torch.unique(keys)
    return keys // number, keys % number


def _squared(points: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Return the squared distances of pairs of images; that of an image to its copy is 0."""
    step = max(1, _NUMBERS // points.shape[1])
    parts = [
        (points[a] - points[b]).square_().sum(dim=1)
        for a, b in zip(torch.split(left, step), torch.split(right, step), strict=True)
    ]
    return torch.cat(parts)
