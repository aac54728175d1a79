"""Batches of P labels with K images each, every image about once in an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.data.samplers.label_groups import IntArray
from lookalike.data.samplers.planned import IdentitySampler


class RandomIdentitySampler(IdentitySampler):
    """Draw P labels for each batch and K images of each, until too few labels are left.

    At the start of an epoch the images of every label are shuffled and cut into groups of K; the
    remainder sits out this epoch. A label with fewer than K images fills its group by drawing
    with replacement. A batch takes one group from each of P different labels, drawn uniformly
    among those that have groups left. The images of one label stand next to each other, as
    losses over views expect.

    With ``max_iters`` an epoch has exactly that many batches; labels are then drawn in proportion
    to their remaining groups, and all groups are made anew when fewer than P labels are left.

    Source: Hermans et al., "In Defense of the Triplet Loss", 2017, section 2
    (https://arxiv.org/abs/1703.07737); the epoch rule is that of the ReID strong baseline.

    Args:
        labels: One per image; ``labels[i]`` belongs to ``dataset[i]``.
        batch_size: P * K.
        images_per_label: K.
        drop_last: Only changes ``len()``: round the estimate of batches down instead of up.
        max_iters: Batches per epoch; None lets the data decide.
        seed: Start of the random stream. The same (seed, epoch) gives the same batches.

    Raises:
        ValueError: If K does not divide batch_size, or there are fewer than P labels.

    Example:
        >>> sampler = RandomIdentitySampler([0, 0, 1, 1, 2, 2], batch_size=4, images_per_label=2)
        >>> [len(batch) for batch in sampler]
        [4]
    """

    def __init__(
        self,
        labels: Sequence[int],
        *,
        batch_size: int,
        images_per_label: int,
        drop_last: bool = False,
        max_iters: int | None = None,
        seed: int = 0,
    ) -> None:
        if max_iters is not None and max_iters < 1:
            raise ValueError(f"max_iters must be positive, got {max_iters}.")
        super().__init__(labels, batch_size, images_per_label, drop_last, seed)
        self.max_iters = max_iters
        self.by_label, self.starts = self.groups.images, self.groups.starts
        self.sizes = self.groups.sizes
        self.num_groups = np.maximum(self.sizes // images_per_label, 1)
        self.num_images = int(self.num_groups.sum()) * images_per_label  # remainders sit out

    def __len__(self) -> int:
        return super().__len__() if self.max_iters is None else self.max_iters

    def plan(self, epoch: int) -> Iterator[list[int]]:
        """Yield the batches of an epoch."""
        rng = np.random.default_rng([self.seed, epoch])
        if self.max_iters is None:
            yield from self._pass(rng, uniform=True)
            return
        num_batches = 0
        while True:
            for batch in self._pass(rng, uniform=False):
                if num_batches == self.max_iters:
                    return
                num_batches += 1
                yield batch

    def _pass(self, rng: np.random.Generator, *, uniform: bool) -> Iterator[list[int]]:
        """Yield batches until fewer than P labels have groups left."""
        groups, first_group = self._make_groups(rng)
        left = self.num_groups.copy()
        while np.count_nonzero(left) >= self.labels_per_batch:
            chosen = _draw_labels(rng, left, self.labels_per_batch, uniform=uniform)
            left[chosen] -= 1
            yield groups[first_group[chosen] + left[chosen]].ravel().tolist()

    def _make_groups(self, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """Return groups ``[num_groups, K]`` of image indices and the first group of each label."""
        size = self.images_per_label
        groups = np.empty((int(self.num_groups.sum()), size), dtype=np.int64)
        first_group = np.cumsum(self.num_groups) - self.num_groups
        # one random key per image, sorted within its label, shuffles all labels at once
        label_of = np.repeat(np.arange(len(self.sizes)), self.sizes)
        shuffled = self.by_label[np.lexsort((rng.random(len(label_of)), label_of))]
        for label in np.flatnonzero(self.sizes < size):
            start, count = self.starts[label], self.sizes[label]
            drawn = rng.integers(count, size=size)
            groups[first_group[label]] = shuffled[start + drawn]
        place = np.arange(len(label_of)) - self.starts[label_of]
        used = (place < (self.num_groups * size)[label_of]) & (self.sizes >= size)[label_of]
        row = first_group[label_of[used]] + place[used] // size
        groups[row, place[used] % size] = shuffled[used]
        return groups, first_group


def _draw_labels(
    rng: np.random.Generator, left: Any, count: int, *, uniform: bool
) -> NDArray[np.intp]:
    """Draw distinct labels that have groups left, uniformly or in proportion to their groups."""
    candidates = np.flatnonzero(left)
    if uniform:
        return rng.permutation(candidates)[:count]
    # the largest of u ** (1 / w) is a weighted draw without replacement (Efraimidis, Spirakis)
    keys = np.log(rng.random(len(candidates))) / left[candidates]
    return candidates[np.argpartition(keys, -count)[-count:]] if count < len(keys) else candidates
