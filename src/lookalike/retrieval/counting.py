"""How many items beat each relevant one: the inner loop of every evaluation.

For each query there are thresholds, the similarities of its relevant items, and tiles of
similarities of all items. Counting is two numbers per threshold: items at least as similar, and
items exactly as similar. There are two ways to count, with the same result: compiled by numba where
it is installed, and plain tensor operations, which also run on a GPU.
"""

# Shape letters: B = queries in a block, N = items in a tile, M = most thresholds of any query

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lookalike.compiling import kernels_in
from lookalike.retrieval.shares import in_shares


@dataclass
class Thresholds:
    """The relevant similarities of a block of queries, with the counts gathered so far.

    Attributes:
        values: ``[B, M]`` float32, rising in each row, +inf behind the last.
        sizes: ``[B]`` int64, thresholds of each row.
        reached: ``[B, M + 1]`` int64: items that reach exactly so many thresholds.
        equal: ``[B, M]`` int64: items equal to a threshold.
    """

    values: Tensor
    sizes: Tensor
    reached: Tensor
    equal: Tensor

    @staticmethod
    def of(values: Tensor, sizes: Tensor) -> Thresholds:
        """Start counting against sorted thresholds."""
        rows, most = values.shape
        zeros = torch.zeros(rows, most + 1, dtype=torch.int64, device=values.device)
        return Thresholds(values.contiguous(), sizes, zeros, zeros[:, :most].clone())

    def ragged(self) -> tuple[Tensor, Tensor]:
        """Return items above, and items equal to, each threshold ``[T]``, a row's best first."""
        at_least = self.reached[:, 1:].flip(1).cumsum(1)
        most = self.values.shape[1]
        # turned round, the padding of a row stands before its thresholds
        real = torch.arange(most, device=self.sizes.device) >= (most - self.sizes)[:, None]
        equal = self.equal.flip(1)[real]
        return at_least[real] - equal, equal


def count_tile(
    tile: Tensor,
    thresholds: Thresholds,
    own: tuple[Tensor, Tensor],
    skipped: Tensor,
    *,
    width: int | None = None,
) -> None:
    """Add the items of a tile to the counts.

    Args:
        tile: ``[B, N]`` similarities; rows behind those of the thresholds are not looked at.
        thresholds: Of the queries; changed in place.
        own: ``[B]`` and ``[B]`` int64: the columns from and up to which items are not counted.
        skipped: ``[B]`` int64: one more column that is not counted; outside the tile for none.
        width: Columns that are items; all by default.

    Raises:
        ValueError: If shapes or types do not fit each other; the compiled loop would read and write
            outside of them.
    """
    width = tile.shape[-1] if width is None else width
    _check(tile, thresholds, (*own, skipped), width)
    if thresholds.values.shape[1] == 0:
        return
    if tile.device.type == "cpu" and _kernel() is not None:
        about = (thresholds.values, thresholds.sizes, *own, skipped)
        counts = (thresholds.reached, thresholds.equal)
        arrays = [tensor.detach().numpy() for tensor in (tile, *about, *counts)]
        in_shares(_kernel(), len(thresholds.sizes), width, *arrays)
    else:
        rows = len(thresholds.sizes)
        _count_plainly(tile[:rows, :width], thresholds, own, skipped)


def _check(tile: Tensor, thresholds: Thresholds, columns: Sequence[Tensor], width: int) -> None:
    values, rows = thresholds.values, len(thresholds.sizes)
    most = values.shape[1] if values.ndim == 2 else -1
    whole = {
        "sizes": (thresholds.sizes, (rows,)),
        "reached": (thresholds.reached, (rows, most + 1)),
        "equal": (thresholds.equal, (rows, most)),
        **{f"columns {place}": (each, (rows,)) for place, each in enumerate(columns)},
    }
    wrong = [
        f"{name} {each.dtype} {list(each.shape)}"
        for name, (each, shape) in whole.items()
        if each.dtype != torch.int64 or each.shape != shape
    ]
    if values.shape != (rows, most) or values.dtype not in (torch.float32, torch.float64):
        wrong.append(f"values {values.dtype} {list(values.shape)}")
    if tile.ndim != 2 or len(tile) < rows or tile.dtype != values.dtype:
        wrong.append(f"tile {tile.dtype} {list(tile.shape)}")
    elif not 0 <= width <= tile.shape[1]:
        wrong.append(f"a width of {width} for a tile of {tile.shape[1]} columns")
    # on a GPU, where nothing is compiled, looking at numbers would wait
    look = tile.device.type == "cpu" and not wrong and rows > 0
    if look and not 0 <= int(thresholds.sizes.min()) <= int(thresholds.sizes.max()) <= most:
        wrong.append(f"sizes beyond {most} thresholds")
    if wrong:
        raise ValueError(f"{rows} queries with {most} thresholds cannot have {', '.join(wrong)}.")


def _count_plainly(
    tile: Tensor, thresholds: Thresholds, own: tuple[Tensor, Tensor], skipped: Tensor
) -> None:
    """Count with tensor operations: a search for every item, a histogram for every query."""
    rows, most = thresholds.values.shape
    columns = torch.arange(tile.shape[1], device=tile.device)
    left_out = (columns >= own[0][:, None]) & (columns < own[1][:, None])
    left_out |= columns == skipped[:, None]
    others = tile.masked_fill(left_out, float("-inf"))
    others = others.contiguous()
    values = thresholds.values.contiguous()
    reached = torch.searchsorted(values, others, right=True)
    below = torch.searchsorted(values, others)
    offsets = torch.arange(rows, device=tile.device)[:, None] * (most + 1)
    histogram = torch.bincount((reached + offsets).flatten(), minlength=rows * (most + 1))
    thresholds.reached += histogram.view(rows, most + 1)
    row, column = ((reached > below) & ~left_out).nonzero(as_tuple=True)
    for first, last, at in zip(
        below[row, column].tolist(), reached[row, column].tolist(), row.tolist(), strict=True
    ):
        thresholds.equal[at, first:last] += 1


@cache
def _kernel() -> Any:
    """Return the compiled function, or None where numba is missing or does not work."""
    return getattr(kernels_in("lookalike.retrieval.compiled"), "count_rows", None)
