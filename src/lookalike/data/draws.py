"""The images of a stream of batches, with the seeds of their augmentations."""

from __future__ import annotations

from collections.abc import Iterator

from lookalike.data.randomness import mix_each
from lookalike.errors import DataError
from lookalike.types import BatchSampler

Draw = tuple[int, int]
"""An image's index and the seed of its augmentation."""

Plan = tuple[int, int]
"""The number of a sampler's plan, and the number of its first batch in the stream."""


class Draws:
    """The sampler's plans one after the other, each index with the seed of its augmentation.

    Args:
        sampler: Plans the batches.
        seed: Of the augmentations.
        start: Batches before this one are left out.
        plan: Where the planning begins: what :meth:`plan_of` said of ``start``; None is the first.

    Example:
        >>> from lookalike.data.samplers import SequenceSampler
        >>> draws = iter(Draws(SequenceSampler([0, 0, 0], batch_size=2), start=1))
        >>> [index for index, seed in next(draws)], [index for index, seed in next(draws)]
        ([2], [0, 1])
    """

    def __init__(
        self, sampler: BatchSampler, seed: int = 0, start: int = 0, plan: Plan | None = None
    ) -> None:
        self.sampler, self.seed, self.start = sampler, seed, start
        self.begun = [plan or (0, 0)]

    def plan_of(self, batch: int) -> Plan:
        """Return the plan that a batch of the stream is in, or one before."""
        return max(plan for plan in self.begun if plan[1] <= batch)

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch, number = self.begun[-1]
        while True:
            empty = True
            for batch in self.sampler.plan(epoch):
                empty = False
                if number >= self.start:
                    seeds = mix_each(self.seed, number, count=len(batch))
                    yield list(zip(batch, seeds, strict=True))
                number += 1
            if empty:
                raise DataError(
                    "the sampler yields no batch: the data has fewer images (or labels) than a "
                    "batch needs; lower the batch size or set drop_last: False."
                )
            epoch += 1
            self.begun.append((epoch, number))
