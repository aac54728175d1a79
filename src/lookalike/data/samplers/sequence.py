"""Every image once, in order or shuffled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lookalike.data.samplers.planned import PlannedSampler


class SequenceSampler(PlannedSampler):
    """Batches of consecutive images, optionally shuffled anew for each epoch.

    Args:
        labels: One per image; only their number counts here.
        batch_size: Images per batch.
        shuffle: Another order in each epoch.
        drop_last: Leave out a last batch that is not full.
        seed: Start of the random stream. The same (seed, epoch) gives the same batches.

    Raises:
        ValueError: If batch_size is not positive.

    Example:
        >>> list(SequenceSampler([0, 0, 1, 1, 2], batch_size=2))
        [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        labels: Sequence[int],
        *,
        batch_size: int,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be positive, got {batch_size}.")
        super().__init__(len(labels), batch_size, drop_last, seed)
        self.shuffle = shuffle

    def plan(self, epoch: int) -> Iterator[list[int]]:
        """Yield the batches of an epoch."""
        order = np.arange(self.num_images)
        if self.shuffle:
            np.random.default_rng([self.seed, epoch]).shuffle(order)
        for number in range(len(self)):
            yield order[number * self.batch_size : (number + 1) * self.batch_size].tolist()
