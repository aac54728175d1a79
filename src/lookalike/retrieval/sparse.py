"""Rows with few entries, one behind the other."""

# Shape letters: N = rows, C = columns, E = entries, B = rows in a block, G = gallery

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lookalike.compiling import kernels_in
from lookalike.retrieval.shares import in_shares

_PAIRS = 1 << 21
"""Pairs of entries that meet at a time where numba is missing."""


@dataclass(frozen=True)
class SparseRows:
    """A matrix ``[N, C]`` of which only the entries are kept.

    Attributes:
        starts: ``[N + 1]`` int64: where the entries of each row start, and where all end.
        columns: ``[E]`` int32, rising in each row.
        weights: ``[E]`` float32.

    Example:
        >>> rows = SparseRows.of(torch.tensor([2, 1]), torch.tensor([0, 4, 4]), torch.ones(3))
        >>> rows.entries(torch.tensor([1, 0]))
        (tensor([0, 1, 1]), tensor([2, 0, 1]))
    """

    starts: Tensor
    columns: Tensor
    weights: Tensor

    def __post_init__(self) -> None:
        starts, (columns, weights) = self.starts, (self.columns, self.weights)
        fits = starts.ndim == 1 and len(starts) > 0 and starts.dtype == torch.int64
        fits = fits and int(starts[0]) == 0 and not bool((starts.diff() < 0).any())
        fits = fits and columns.shape == weights.shape == (int(starts[-1]),)
        if not fits or (columns.dtype, weights.dtype) != (torch.int32, torch.float32):
            raise ValueError("sparse rows: starts from 0, rising to the number of their entries.")

    @staticmethod
    def of(sizes: Tensor, columns: Tensor, weights: Tensor) -> SparseRows:
        """Make rows from the number of entries of each, ``[N]``."""
        if sizes.ndim != 1 or sizes.dtype != torch.int64:
            raise ValueError(f"sizes: int64 [N] expected, got {sizes.dtype} {list(sizes.shape)}.")
        starts = torch.zeros(len(sizes) + 1, dtype=torch.int64)
        torch.cumsum(sizes, dim=0, out=starts[1:])
        return SparseRows(starts, columns.int(), weights.float())

    @staticmethod
    def joined(parts: Sequence[SparseRows]) -> SparseRows:
        """Put rows below each other."""
        return SparseRows.of(
            torch.cat([part.sizes for part in parts]),
            torch.cat([part.columns for part in parts]),
            torch.cat([part.weights for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def sizes(self) -> Tensor:
        """``[N]``: entries of each row."""
        return self.starts.diff()

    def entries(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the entries of some rows ``[B]``: the place in ``rows`` of each, and its own."""
        sizes = self.sizes[rows]
        owner = torch.repeat_interleave(torch.arange(len(rows)), sizes)
        within = torch.arange(len(owner)) - (sizes.cumsum(0) - sizes)[owner]
        return owner, self.starts[rows][owner] + within

    def between(self, start: int, stop: int) -> SparseRows:
        """Return the rows from ``start`` up to ``stop``."""
        first, last = int(self.starts[start]), int(self.starts[stop])
        starts = self.starts[start : stop + 1] - first
        return SparseRows(starts, self.columns[first:last], self.weights[first:last])

    def turned(self, num_columns: int) -> SparseRows:
        """Return the matrix ``[C, N]``, rows and columns exchanged."""
        order = torch.argsort(self.columns, stable=True)
        owner = torch.repeat_interleave(torch.arange(len(self), dtype=torch.int32), self.sizes)
        sizes = torch.bincount(self.columns, minlength=num_columns)
        return SparseRows.of(sizes, owner[order], self.weights[order])


def shared(some: SparseRows, turned: SparseRows, num_items: int) -> Tensor:
    """Add up the smaller weight of every column that two rows both have, ``[B, G]`` float32.

    The sums are taken in float64 and in the order of the columns, compiled or not.

    Args:
        some: ``[B, C]``.
        turned: ``[C, G]``: the rows to meet, turned.
        num_items: G.

    Raises:
        ValueError: If a column or an item is outside of its range.

    Example:
        >>> rows = SparseRows.of(torch.tensor([2, 1]), torch.tensor([0, 1, 1]), torch.ones(3) / 2)
        >>> shared(rows, rows.turned(2), 2)
        tensor([[1.0000, 0.5000],
                [0.5000, 0.5000]])
    """
    for what, columns, number in (
        ("columns", some.columns, len(turned)),
        ("items", turned.columns, num_items),
    ):
        if len(columns) and not 0 <= int(columns.min()) <= int(columns.max()) < number:
            raise ValueError(f"{what} from 0 to {number - 1} expected; others would be elsewhere.")
    kernel = _kernel()
    if kernel is None:
        return _shared_plainly(some, turned, num_items)
    total = torch.empty(len(some), num_items)
    left = (some.starts, some.columns, some.weights)
    right = (turned.starts, turned.columns, turned.weights)
    in_shares(kernel, len(some), *(piece.numpy() for piece in (*left, *right, total)))
    return total


def _shared_plainly(some: SparseRows, turned: SparseRows, num_items: int) -> Tensor:
    """Meet with tensor operations, a bounded number of pairs at a time."""
    total = torch.zeros(len(some) * num_items, dtype=torch.float64)
    row_of = torch.repeat_interleave(torch.arange(len(some)), some.sizes)
    pairs = turned.sizes[some.columns.long()].cumsum(0)
    done = 0
    while done < len(row_of):
        before = int(pairs[done - 1]) if done else 0
        stop = int(torch.searchsorted(pairs, before + _PAIRS, right=True))
        stop = min(max(stop, done + 1), len(row_of))
        owner, place = turned.entries(some.columns[done:stop].long())
        smaller = torch.minimum(some.weights[done:stop][owner], turned.weights[place])
        at = row_of[done:stop][owner] * num_items + turned.columns[place]
        total.index_add_(0, at, smaller.double())
        done = stop
    return total.float().view(len(some), num_items)


@cache
def _kernel() -> Any:
    """Return the compiled function, or None where numba is missing or does not work."""
    return getattr(kernels_in("lookalike.retrieval.compiled_neighbours"), "add_shared", None)
