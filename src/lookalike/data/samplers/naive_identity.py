"""Identity batches in which no image is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

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
        left = [self._deal(rng, label) for label in range(len(self.groups))]
        remaining = np.array([len(groups) for groups in left])
        while np.count_nonzero(remaining) >= self.labels_per_batch:
            chosen = rng.permutation(np.flatnonzero(remaining))[: self.labels_per_batch]
            remaining[chosen] -= 1
            yield [image for label in chosen for image in left[label].pop()]

    def _deal(self, rng: np.random.Generator, label: int) -> list[list[int]]:
        size = int(self.groups.sizes[label])
        shuffled = self.groups.draw_images(rng, label, size).tolist()
        short = -size % self.images_per_label
        shuffled += self.groups.draw_images(rng, label, short).tolist() if short else []
        step = self.images_per_label
        return [shuffled[start : start + step] for start in range(0, len(shuffled), step)]
