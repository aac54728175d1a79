"""A split in numbers: how long its tail is, what its images are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookalike.data.doctor.fact_table import FactTable
from lookalike.data.doctor.splits import AllRows

HEAD, TAIL = 100, 20
"""Labels with more than 100 images are the head, those with fewer than 20 the tail."""


@dataclass(frozen=True)
class SplitStatistics:
    """One split in numbers.

    Attributes:
        name: Of the split.
        num_images: Rows of its lists.
        num_labels: Different ones.
        per_label: Images of each label, ascending.
        gini: Inequality of ``per_label``: 0 where all labels have equally many.
        head: Labels with more than 100 images, and their share of the images.
        middle: Labels with 20 to 100.
        tail: Labels with fewer than 20.
        kinds: Images of each format.
        sides: Shorter side of each readable image.
    """

    name: str
    num_images: int
    num_labels: int
    per_label: NDArray[np.int64]
    gini: float
    head: tuple[int, float]
    middle: tuple[int, float]
    tail: tuple[int, float]
    kinds: dict[str, int]
    sides: NDArray[np.int64]

    @property
    def top_share(self) -> float:
        """Share of the images that the largest tenth of the labels holds."""
        top = -(-self.num_labels // 10)
        return float(self.per_label[-top:].sum() / self.num_images)


def gini(sizes: NDArray[np.int64]) -> float:
    """Return the Gini coefficient of counts in ascending order.

    Equation: ``sum_i (2 i - n - 1) x_i / (n sum_i x_i)`` for i from 1 to n.

    Example:
        >>> gini(np.array([5, 5, 5])), round(gini(np.array([0, 0, 9])), 4)
        (0.0, 0.6667)
    """
    number = len(sizes)
    weights = 2 * np.arange(1, number + 1) - number - 1
    return float((weights * sizes).sum() / (number * sizes.sum()))


def split_statistics(rows: AllRows, facts: FactTable) -> list[SplitStatistics]:
    """Describe every split.

    The bounds of head and tail are those of Liu et al., "Large-Scale Long-Tailed Recognition in
    an Open World", CVPR 2019, section 5.
    """
    return [_describe(rows, facts, number) for number in range(len(rows.splits))]


def _describe(rows: AllRows, facts: FactTable, number: int) -> SplitStatistics:
    split = rows.splits[number]
    _, counts = np.unique(split.labels, return_counts=True)
    counts = np.sort(counts)

    def part(chosen: NDArray[np.bool_]) -> tuple[int, float]:
        return int(chosen.sum()), float(counts[chosen].sum() / len(split))

    files = rows.file_of[rows.split_of == number]
    files = files[facts.readable[files]]
    own = facts.rows[files]
    kinds = Counter(facts.kind(file) for file in files.tolist())
    return SplitStatistics(
        name=split.name,
        num_images=len(split),
        num_labels=len(counts),
        per_label=counts,
        gini=gini(counts),
        head=part(counts > HEAD),
        middle=part((counts <= HEAD) & (counts >= TAIL)),
        tail=part(counts < TAIL),
        kinds=dict(kinds.most_common()),
        sides=np.minimum(own["width"], own["height"]).astype(np.int64),
    )
