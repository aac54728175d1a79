"""Identity batches in which no image is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lookalike.data.samplers.label_draws import OpenLabels
from lookalike.data.samplers.label_groups import IntArray, uniforms_of
from lookalike.data.samplers.planned import IdentitySampler


class NaiveIdentitySampler(IdentitySampler):
    """Deal every image of every label in groups of K, topping up the last group of a label.

    Unlike ``RandomIdentitySampler`` it fills a remainder with images of the same label instead of
    dropping it. Groups are dealt in rounds: a batch takes groups of P different labels.

    Args:
        labels: One per image.
        batch_size: P * K.
        images_per_label: K.
        drop_last: Only changes ``len()``.
        seed: Start of the random stream. The same (seed, epoch) gives the same batches.

    Raises:
        ValueError: If K does not divide batch_size, or there are fewer than P labels.

    Example:
        >>> sampler = NaiveIdentitySampler([0, 0, 0, 1, 1, 1], batch_size=4, images_per_label=2)
        >>> sorted({i for batch in sampler for i in batch})
        [0, 1, 2, 3, 4, 5]
    """

    def __init__(
        self,
        labels: Sequence[int],
        *,
        batch_size: int,
        images_per_label: int,
        drop_last: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(labels, batch_size, images_per_label, drop_last, seed)

    def plan(self, epoch: int) -> Iterator[list[int]]:
        """Yield the batches of an epoch."""
        rng = np.random.default_rng([self.seed, epoch])
        num_groups = -(-self.groups.sizes // self.images_per_label)
        groups, uniforms = self._deal(rng, num_groups), uniforms_of(rng)
        labels = OpenLabels(num_groups)
        while (drawn := labels.draw(uniforms, self.labels_per_batch)) is not None:
            yield groups.take(drawn, axis=0).ravel().tolist()

    def _deal(self, rng: np.random.Generator, num_groups: IntArray) -> IntArray:
        """Return groups ``[num_groups, K]`` of image indices, those of a label together."""
        sizes, starts = self.groups.sizes, self.groups.starts
        slots = num_groups * self.images_per_label
        label = np.repeat(np.arange(len(sizes)), slots)
        place = np.arange(len(label)) - (np.cumsum(slots) - slots)[label]
        beyond = place - sizes[label]
        images = np.empty(len(label), dtype=np.int64)
        own = beyond < 0
        images[own] = self.groups.shuffled(rng)[(starts[label] + place)[own]]
        # the last group of a label is filled from another shuffle, or by any of its few images
        again = ~own & (slots[label] <= 2 * sizes[label])
        images[again] = self.groups.shuffled(rng)[(starts[label] + beyond)[again]]
        few = ~own & ~again
        drawn = (rng.random(np.count_nonzero(few)) * sizes[label[few]]).astype(np.int64)
        images[few] = self.groups.images[starts[label[few]] + drawn]
        return images.reshape(-1, self.images_per_label)
