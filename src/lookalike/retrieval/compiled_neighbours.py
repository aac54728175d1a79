"""What re-ranking and expansion have compiled by numba: selecting, and adding what is shared."""

# Shape letters: B = queries in a block, N = items in a tile, G = gallery, K = neighbours

from __future__ import annotations

from typing import Any

import numpy as np

from lookalike.compiling import kernel


@kernel()
def keep_best(
    start_row: int, stop_row: int, first: int, tile: Any, keys: Any, numbers: Any
) -> None:
    """Move the largest numbers of a tile into the best ones; see ``nearest.nearest_rows``."""
    most, width = keys.shape[1], tile.shape[1]
    if most == 0:  # the last place would be one before the first
        return
    for row in range(start_row, stop_row):
        line, best, named = tile[row], keys[row], numbers[row]
        worst = best[most - 1]
        for column in range(width):
            key = line[column]
            if key > worst:
                place = most - 1
                # equal keys stay before the new one: it has the larger number
                while place > 0 and best[place - 1] < key:
                    best[place] = best[place - 1]
                    named[place] = named[place - 1]
                    place -= 1
                best[place] = key
                named[place] = first + column
                worst = best[most - 1]


@kernel()
def add_shared(
    start_row: int,
    stop_row: int,
    starts: Any,
    columns: Any,
    weights: Any,
    item_starts: Any,
    owners: Any,
    item_weights: Any,
    shared: Any,
) -> None:
    """Add up the smaller weight of every column that two rows have; see ``sparse.shared``."""
    total = np.zeros(shared.shape[1], dtype=np.float64)
    for row in range(start_row, stop_row):
        total[:] = 0.0
        for entry in range(starts[row], starts[row + 1]):
            column, weight = columns[entry], weights[entry]
            for place in range(item_starts[column], item_starts[column + 1]):
                total[owners[place]] += min(weight, item_weights[place])
        for item in range(shared.shape[1]):
            shared[row, item] = total[item]
