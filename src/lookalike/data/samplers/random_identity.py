"""Batches of P labels with K images each, every image about once in an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, count, islice

import numpy as np

from lookalike.data.samplers.label_draws import OpenGroups, OpenLabels
from lookalike.data.samplers.label_groups import IntArray, uniforms_of
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
        self.num_groups = np.maximum(self.groups.sizes // images_per_label, 1)
        self.num_images = int(self.num_groups.sum()) * images_per_label  # remainders sit out

    def __len__(self) -> int:
        return super().__len__() if self.max_iters is None else self.max_iters

    def plan(self, epoch: int) -> Iterator[list[int]]:
        """Yield the batches of an epoch."""
        rng = np.random.default_rng([self.seed, epoch])
        if self.max_iters is None:
            yield from self._pass(rng)
            return
        passes = chain.from_iterable(self._pass(rng) for _ in count())
        yield from islice(passes, self.max_iters)

    def _pass(self, rng: np.random.Generator) -> Iterator[list[int]]:
        """Yield batches until fewer than P labels have groups left."""
        groups, uniforms = self._make_groups(rng), uniforms_of(rng)
        labels = (OpenLabels if self.max_iters is None else OpenGroups)(self.num_groups)
        while (drawn := labels.draw(uniforms, self.labels_per_batch)) is not None:
            yield groups.take(drawn, axis=0).ravel().tolist()

    def _make_groups(self, rng: np.random.Generator) -> IntArray:
        """Return groups ``[num_groups, K]`` of image indices, those of a label together."""
        size, sizes = self.images_per_label, self.groups.sizes
        shuffled = self.groups.shuffled(rng)
        label = np.repeat(np.arange(len(sizes)), self.num_groups)
        first_group = np.cumsum(self.num_groups) - self.num_groups
        start = self.groups.starts[label] + (np.arange(len(label)) - first_group[label]) * size
        places = start[:, None] + np.arange(size)
        small = np.flatnonzero(sizes < size)
        draws = (rng.random((len(small), size)) * sizes[small, None]).astype(np.int64)
        places[first_group[small]] = self.groups.starts[small, None] + draws
        groups: IntArray = shuffled[places]
        return groups
