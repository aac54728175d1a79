"""Rows whose images differ in their pixels, but not to the eye."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lookalike.data.doctor.examine import Trait
from lookalike.data.doctor.fact_table import FactTable
from lookalike.data.doctor.near_pairs import near_pairs
from lookalike.data.doctor.relations import RELATIONS, Ints, Relation, Sides

MAX_COLOUR = 16
"""Levels by which the 48 mean colours of two copies may differ."""

MAX_PLACES = 16
"""Of an image that is listed in more places, the first ones are compared."""


def similar_images(
    content: Ints, sides: Sides, facts: FactTable
) -> Iterator[tuple[Relation, int, int, int]]:
    """Yield each row that looks like another one, once for each relation.

    An image that a split lists several times under one label and camera is compared once, in its
    first row; the others are duplicates already. Beside it stand the row it is most alike, of
    several the first, and in how many bits their hashes differ. Images of one colour have no hash
    to speak of and are left out.

    Args:
        content: ``[N]`` number of each row's pixels, -1 where they are unknown.
        sides: Of the rows.
        facts: Of the files.
    """
    best = {relation: _Best(len(content)) for relation in RELATIONS}
    for one, other, bits in _pairs(content, sides, facts):
        rows, others = np.concatenate([one, other]), np.concatenate([other, one])
        twice = np.concatenate([bits, bits])
        for relation, holds in sides.between(rows, others).items():
            best[relation].offer(rows[holds], others[holds], twice[holds])
    for relation, partners in best.items():
        for row in np.flatnonzero(partners.other >= 0).tolist():
            yield relation, row, int(partners.other[row]), int(partners.bits[row])


class _Best:
    """The best partner of each row under one relation, gathered block by block."""

    def __init__(self, num_rows: int) -> None:
        self.bits = np.full(num_rows, 255, dtype=np.uint8)
        self.other = np.full(num_rows, -1, dtype=np.int64)

    def offer(self, rows: Ints, others: Ints, bits: NDArray[np.uint8]) -> None:
        """Keep for each row the partner of the fewest bits, of several the first."""
        order = np.lexsort((others, bits, rows))
        rows, first = np.unique(rows[order], return_index=True)
        others, bits = others[order][first], bits[order][first]
        better = bits < self.bits[rows]
        better |= (bits == self.bits[rows]) & (others < self.other[rows])
        self.bits[rows[better]] = bits[better]
        self.other[rows[better]] = others[better]


def _pairs(
    content: Ints, sides: Sides, facts: FactTable
) -> Iterator[tuple[Ints, Ints, NDArray[np.uint8]]]:
    """Yield pairs of rows of different pixels that look the same."""
    rows = sides.rows
    chosen = _places(content, sides)
    constant = (facts.rows["traits"] & int(Trait.CONSTANT)) > 0
    chosen = chosen[(content[chosen] >= 0) & ~constant[rows.file_of[chosen]]]
    files = rows.file_of[chosen]
    colours = facts.rows["colours"][files]
    for one, other, bits in near_pairs(facts.rows["perceptual"][files]):
        different = content[chosen[one]] != content[chosen[other]]
        one, other, bits = one[different], other[different], bits[different]
        off = np.maximum(colours[one], colours[other]) - np.minimum(colours[one], colours[other])
        alike = off.max(axis=1, initial=0) <= MAX_COLOUR
        yield chosen[one[alike]], chosen[other[alike]], bits[alike]


def _places(content: Ints, sides: Sides) -> Ints:
    """Choose of equal rows one for each split, label and camera, and of these the first few."""
    rows = sides.rows
    kinds = np.stack([content, rows.split_of, rows.labels, rows.cameras])
    _, first = np.unique(kinds, axis=1, return_index=True)
    chosen = first[np.lexsort((first, content[first]))]
    starts = np.concatenate([[0], np.flatnonzero(np.diff(content[chosen])) + 1])
    sizes = np.diff([*starts, len(chosen)])
    place = np.arange(len(chosen)) - np.repeat(starts, sizes)
    return np.sort(chosen[place < MAX_PLACES])
