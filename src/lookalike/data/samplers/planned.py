"""What every batch sampler has: a length, and epochs that differ but can be repeated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator


class PlannedSampler(ABC):
    """Batches of an epoch follow from (seed, epoch) alone.

    Iterating plans the next epoch each time; ``plan`` gives any epoch directly.

    Args:
        num_images: Images an epoch has.
        batch_size: Images per batch.
        drop_last: Whether ``len()`` counts a last batch that is not full.
        seed: Start of the random stream.
    """

    def __init__(self, num_images: int, batch_size: int, drop_last: bool, seed: int) -> None:
        self.num_images, self.batch_size = num_images, batch_size
        self.drop_last, self.seed = drop_last, seed
        self.epoch = 0

    @abstractmethod
    def plan(self, epoch: int) -> Iterator[list[int]]:
        """Yield the batches of an epoch."""

    def __len__(self) -> int:
        full, rest = divmod(self.num_images, self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        self.epoch += 1
        return self.plan(self.epoch - 1)
