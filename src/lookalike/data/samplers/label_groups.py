"""Images sorted by label, and draws of labels: what identity samplers share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


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

    def __len__(self) -> int:
        return len(self.sizes)

    def draw_images(self, rng: np.random.Generator, label: int, count: int) -> IntArray:
        """Draw images of a label, with replacement only if it has too few."""
        own = self.images[self.starts[label] : self.starts[label] + self.sizes[label]]
        return rng.choice(own, size=count, replace=len(own) < count)


def draw_labels(
    rng: np.random.Generator, weights: NDArray[np.float64], count: int
) -> NDArray[np.intp]:
    """Draw distinct labels in proportion to their weights.

    The largest of ``log(u) / w`` are such a draw (Efraimidis and Spirakis, 2006).
    """
    keys = np.log(rng.random(len(weights))) / weights
    return np.argsort(keys)[::-1][:count]


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
