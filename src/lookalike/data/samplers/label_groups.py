"""Images sorted by label, and draws of labels and images: what identity samplers share."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import chain, count

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
Uniforms = Iterator[float]
"""Numbers in [0, 1), drawn one by one at the price of a list's elements."""

_BLOCK = 8192


class LabelGroups:
    """The images of each label as slices of one array.

    Args:
        labels: One per image.

    Attributes:
        images: Image indices, those of one label next to each other.
        starts: Where each label begins.
        sizes: How many images each label has.
        first_seen: Position of each label in the order of first appearance.
    """

    def __init__(self, labels: Sequence[int]) -> None:
        values = np.asarray(labels, dtype=np.int64)
        self.images: IntArray = np.argsort(values, kind="stable")
        _, first, sizes = np.unique(values, return_index=True, return_counts=True)
        self.sizes: IntArray = sizes
        self.starts: IntArray = np.cumsum(sizes) - sizes
        self.first_seen: IntArray = np.argsort(np.argsort(first))
        # single numbers are read faster from these
        self._starts = array("q", self.starts.tobytes())
        self._sizes = array("q", self.sizes.tobytes())

    def __len__(self) -> int:
        return len(self.sizes)

    def draw_images(self, uniforms: Uniforms, labels: Sequence[int], number: int) -> list[int]:
        """Draw images of each label, with replacement only if it has too few."""
        places: list[int] = []
        for label in labels:
            start, size = self._starts[label], self._sizes[label]
            if size < number:
                places += [start + int(next(uniforms) * size) for _ in range(number)]
            else:
                places += [start + place for place in draw_distinct(uniforms, size, number)]
        drawn: list[int] = self.images.take(places).tolist()
        return drawn

    def shuffled(self, rng: np.random.Generator) -> IntArray:
        """Return ``images`` with the images of each label in random order."""
        size = len(self.images)
        label = np.repeat(np.arange(len(self)), self.sizes)
        order = rng.permutation(size)
        # whole numbers sort faster than their indices do: label first, then place in the order
        keys = label[order] * size + np.arange(size)
        keys.sort()
        images: IntArray = self.images[order[keys - label * size]]
        return images


def uniforms_of(rng: np.random.Generator) -> Uniforms:
    """Return an endless stream of numbers in [0, 1)."""
    return chain.from_iterable(rng.random(_BLOCK).tolist() for _ in count())


def draw_distinct(uniforms: Uniforms, size: int, number: int) -> list[int]:
    """Draw different whole numbers below ``size``, each set and order alike.

    Example:
        >>> sorted(draw_distinct(uniforms_of(np.random.default_rng(0)), 3, 3))
        [0, 1, 2]
    """
    if size < 3 * number:
        pool = list(range(size))
        for place in range(number):
            other = place + int(next(uniforms) * (size - place))
            pool[place], pool[other] = pool[other], pool[place]
        return pool[:number]
    drawn: dict[int, None] = {}
    while len(drawn) < number:
        drawn[int(next(uniforms) * size)] = None
    return list(drawn)


def check_batch(batch_size: int, images_per_label: int, num_labels: int) -> int:
    """Return the labels per batch.

    Raises:
        ValueError: If K does not divide the batch, or there are too few labels.
    """
    if images_per_label < 1 or batch_size < 1 or batch_size % images_per_label:
        raise ValueError(
            f"batch_size must be a multiple of the images per label, got {batch_size} and "
            f"{images_per_label}."
        )
    labels_per_batch = batch_size // images_per_label
    if num_labels < labels_per_batch:
        raise ValueError(
            f"a batch needs {labels_per_batch} different labels ({batch_size} / "
            f"{images_per_label}), the data has {num_labels}; make batch_size at most "
            f"{num_labels * images_per_label}."
        )
    return labels_per_batch
