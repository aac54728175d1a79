"""Draws of the labels of a batch: at a cost that does not grow with the number of labels."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from lookalike.data.samplers.label_groups import IntArray, Uniforms

_PATIENCE = 16


class OpenLabels:
    """Labels that have groups left, of which batches are dealt.

    Groups are numbered label by label.

    Args:
        num_groups: Groups of each label, at least one.
    """

    def __init__(self, num_groups: IntArray) -> None:
        # arrays, not lists: numbers of a list lie scattered in the memory
        ends = np.cumsum(num_groups)
        self.first, self.end = array("q", (ends - num_groups).tobytes()), array("q", ends.tobytes())
        self.open = array("q", range(len(num_groups)))

    def draw(self, uniforms: Uniforms, number: int) -> list[int] | None:
        """Take a group from each of ``number`` labels drawn alike; None if fewer are open."""
        labels, first, end, size = self.open, self.first, self.end, len(self.open)
        if size < number:
            return None
        groups, still_open = [], []
        for length, uniform in zip(range(size, size - number, -1), uniforms, strict=False):
            place = int(uniform * length)
            label = labels[place]
            labels[place] = labels[length - 1]  # the last one fills the gap
            group = end[label] = end[label] - 1
            groups.append(group)
            if group > first[label]:
                still_open.append(label)
        del labels[size - number :]
        labels.extend(still_open)
        return groups


class OpenGroups:
    """Labels drawn in proportion to the groups they have left.

    A group drawn alike belongs to a label with just that chance; one of a label that is in the
    batch already is drawn again.

    Args:
        num_groups: Groups of each label, at least one.
    """

    def __init__(self, num_groups: IntArray) -> None:
        self.left = num_groups.copy()
        self.end = np.cumsum(num_groups)
        labels = np.repeat(np.arange(len(num_groups)), num_groups)
        self.groups = array("q", labels.tobytes())
        self.num_open = len(num_groups)

    def draw(self, uniforms: Uniforms, number: int) -> list[int] | None:
        """Take a group from each of ``number`` labels; None if fewer are open."""
        if self.num_open < number:
            return None
        drawn: dict[int, int] = {}
        tries = _PATIENCE * number
        while len(drawn) < number and tries:
            place = int(next(uniforms) * len(self.groups))
            drawn.setdefault(self.groups[place], place)
            tries -= 1
        if len(drawn) < number:
            self._complete(uniforms, drawn, number)
        for place in sorted(drawn.values(), reverse=True):
            self.groups[place] = self.groups[-1]
            self.groups.pop()
        chosen = np.array(list(drawn))
        self.left[chosen] -= 1
        self.num_open -= int(np.count_nonzero(self.left[chosen] == 0))
        groups: list[int] = (self.end[chosen] - 1 - self.left[chosen]).tolist()
        return groups

    def _complete(self, uniforms: Uniforms, drawn: dict[int, int], number: int) -> None:
        """Add the labels that are missing where a few labels own most of the groups."""
        chances = self.left.astype(np.float64)
        chances[list(drawn)] = 0.0
        groups = np.array(self.groups)
        for label in in_proportion(uniforms, chances, number - len(drawn)):
            drawn[label] = int(np.flatnonzero(groups == label)[0])


class WeightedLabels:
    """Distinct labels drawn in proportion to weights that stay.

    Args:
        weights: One per label, positive.
    """

    def __init__(self, weights: NDArray[np.float64]) -> None:
        self.weights, self.ends = weights, np.cumsum(weights)

    def draw(self, uniforms: Uniforms, number: int) -> list[int]:
        """Draw ``number`` labels; one that is drawn again is left out and drawn anew."""
        drawn: dict[int, None] = {}
        total, tries = self.ends[-1], _PATIENCE
        while len(drawn) < number and tries:
            missing = number - len(drawn)
            marks = np.array([next(uniforms) for _ in range(missing)]) * total
            drawn.update(dict.fromkeys(self.ends.searchsorted(marks, side="right").tolist()))
            tries -= 1
        if len(drawn) < number:
            chances = self.weights.copy()
            chances[list(drawn)] = 0.0
            drawn.update(dict.fromkeys(in_proportion(uniforms, chances, number - len(drawn))))
        return list(drawn)


def in_proportion(uniforms: Uniforms, chances: NDArray[np.float64], number: int) -> list[int]:
    """Draw distinct labels in proportion to their chances, looking at all of them.

    The largest of ``log(u) / w`` are such a draw.

    Source: Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006.
    """
    possible = np.flatnonzero(chances)
    keys = np.log([1.0 - next(uniforms) for _ in possible]) / chances[possible]
    chosen: list[int] = possible[np.argsort(keys)[::-1][:number]].tolist()
    return chosen
