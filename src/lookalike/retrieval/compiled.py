"""Counting compiled by numba: one pass over a tile, without a temporary of its size."""

# Shape letters: B = queries in a block, N = items in a tile, M = most thresholds of any query

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

FEW = 24
"""Up to so many thresholds each is compared with all items; among more, items are searched."""
_BUCKETS = 512


@njit(cache=True, nogil=True)
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
    for row in range(start_row, stop_row):
        size = sizes[row]
        if size == 0:
            continue
        first = min(max(own_first[row], 0), width)
        last = min(max(own_last[row], first), width)
        line, rising = tile[row], values[row, :size]
        for part in range(2):
            start, stop = (0, first) if part == 0 else (last, width)
            if stop <= start:
                continue
            if size <= FEW:
                _compare(line[start:stop], rising, reached[row], equal[row], 1)
            else:
                _search(line[start:stop], rising, reached[row], equal[row])
        column = skipped[row]
        if 0 <= column < width and not first <= column < last:
            _compare(line[column : column + 1], rising, reached[row], equal[row], -1)


@njit(cache=True, nogil=True)
def _compare(items: Any, rising: Any, reached: Any, equal: Any, sign: int) -> None:
    """Compare every threshold with all items; differences of the counts are the histogram."""
    size = len(rising)
    above = np.int64(0)
    for index in range(size - 1, -1, -1):
        threshold = rising[index]
        at_least, same = np.int32(0), np.int32(0)
        for item in items:
            at_least += np.int32(item >= threshold)
            same += np.int32(item == threshold)
        reached[index + 1] += sign * (at_least - above)
        equal[index] += sign * same
        above = np.int64(at_least)


@njit(cache=True, nogil=True)
def _search(items: Any, rising: Any, reached: Any, equal: Any) -> None:
    """Search the place of every item that reaches a threshold among all thresholds."""
    size = len(rising)
    lowest, highest = rising[0], rising[size - 1]
    table = np.zeros(_BUCKETS + 2, dtype=np.int32)
    span = highest - lowest
    factor = np.float32(0.0) if span <= 0 else np.float32(_BUCKETS / span)
    bucket = 0
    for index in range(size):
        own = min(int((rising[index] - lowest) * factor), _BUCKETS)
        while bucket <= own:
            table[bucket] = index
            bucket += 1
    while bucket <= _BUCKETS + 1:
        table[bucket] = size
        bucket += 1
    for item in items:
        if item < lowest:
            continue
        if item > highest:
            reached[size] += 1
            continue
        place = table[min(int((item - lowest) * factor), _BUCKETS)]
        while place < size and rising[place] <= item:
            place += 1
        reached[place] += 1
        below = place - 1
        while below >= 0 and rising[below] == item:
            equal[below] += 1
            below -= 1
