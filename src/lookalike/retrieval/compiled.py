"""Counting compiled by numba: one pass over a tile, without a temporary of its size.

Of a row only the items that reach the lowest threshold are kept, without a branch. The span of the
thresholds is cut into buckets; an item in a bucket without a threshold has its place in a table,
one beside a threshold is compared. The bucket of a number never falls as the number rises, so the
counts are exact.
"""

# Shape letters: B = queries in a block, N = items in a tile, M = most thresholds of any query

from __future__ import annotations

from typing import Any

import numpy as np

from lookalike.compiling import kernel

_BUCKETS = 1024


@kernel()
def count_rows(
    start_row: int,
    stop_row: int,
    width: int,
    tile: Any,
    values: Any,
    sizes: Any,
    own_first: Any,
    own_last: Any,
    skipped: Any,
    reached: Any,
    equal: Any,
) -> None:
    """Add the items of a tile to the counts of some rows; see ``counting.count_tile``."""
    table = np.empty(_BUCKETS + 1, dtype=np.int32)
    buckets = np.empty(width, dtype=np.int32)
    kept = np.empty(width + 1, dtype=tile.dtype)
    for row in range(start_row, stop_row):
        size = sizes[row]
        if size == 0:
            continue
        first = min(max(own_first[row], 0), width)
        last = min(max(own_last[row], first), width)
        line, rising = tile[row], values[row, :size]
        number = _keep(line[:first], rising[0], kept, 0)
        number = _keep(line[last:width], rising[0], kept, number)
        if number:
            factor = _fill(rising, table)
            _sort_in(kept[:number], rising, factor, buckets)
            _count(kept[:number], rising, table, buckets, reached[row], equal[row])
        column = skipped[row]
        if 0 <= column < width and not first <= column < last:
            _take_back(line[column], rising, reached[row], equal[row])


@kernel()
def _keep(items: Any, lowest: Any, kept: Any, number: Any) -> Any:
    """Append the items that reach the lowest threshold; without a branch to be foretold."""
    for item in items:
        kept[number] = item
        number += np.int64(item >= lowest)
    return number


@kernel()
def _fill(rising: Any, table: Any) -> Any:
    """Write how many thresholds an item of each bucket reaches; -1 - k to compare from the k-th.

    Returns the buckets per unit, 0 if the thresholds leave nothing to divide.
    """
    size = len(rising)
    span = rising[size - 1] - rising[0]
    factor = np.float32(_BUCKETS / span) if span > 0 else np.float32(0.0)
    if not 0.0 < factor < np.inf:
        table[0] = -1
        return np.float32(0.0)
    bucket = 0
    for index in range(size):
        own = np.int32(min((rising[index] - rising[0]) * factor, np.float32(_BUCKETS)))
        while bucket < own:
            table[bucket] = index
            bucket += 1
        if bucket == own:
            table[own] = -1 - index
            bucket += 1
    table[bucket : _BUCKETS + 1] = size
    return factor


@kernel()
def _sort_in(items: Any, rising: Any, factor: Any, buckets: Any) -> None:
    """Write the bucket of every item; items above the highest threshold share the last one."""
    lowest, most = rising[0], np.float32(_BUCKETS)
    if factor == 0.0:
        buckets[: len(items)] = 0
        return
    for index in range(len(items)):
        buckets[index] = np.int32(min((items[index] - lowest) * factor, most))


@kernel()
def _count(items: Any, rising: Any, table: Any, buckets: Any, reached: Any, equal: Any) -> None:
    size = len(rising)
    for index in range(len(items)):
        place = table[buckets[index]]
        if place < 0:
            item, place = items[index], -1 - place
            while place < size and rising[place] <= item:
                place += 1
            below = place - 1
            while below >= 0 and rising[below] == item:
                equal[below] += 1
                below -= 1
        reached[place] += 1


@kernel()
def _take_back(item: Any, rising: Any, reached: Any, equal: Any) -> None:
    """Remove one item from the counts."""
    place = 0
    while place < len(rising) and rising[place] <= item:
        equal[place] -= np.int64(rising[place] == item)
        place += 1
    reached[place] -= 1
