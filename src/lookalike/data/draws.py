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

Share = tuple[int, int]
"""Which of how many processes reads; each reads its part of every batch."""


class Draws:
    """The sampler's plans one after the other, each index with the seed of its augmentation.

    Args:
        sampler: Plans the batches.
        seed: Of the augmentations.
        start: Batches before this one are left out.
        plan: Where the planning begins: what :meth:`plan_of` said of ``start``; None is the first.
        share: Yield this process's part of each batch. The parts are equally large and stay clear
            of each other; where a batch does not divide, its first images are drawn once more.

    Example:
        >>> from lookalike.data.samplers import SequenceSampler
        >>> draws = iter(Draws(SequenceSampler([0, 0, 0], batch_size=2), start=1))
        >>> [index for index, seed in next(draws)], [index for index, seed in next(draws)]
        ([2], [0, 1])
    """

    def __init__(
        self,
        sampler: BatchSampler,
        seed: int = 0,
        start: int = 0,
        plan: Plan | None = None,
        *,
        share: Share = (0, 1),
    ) -> None:
        self.sampler, self.seed, self.start, self.share = sampler, seed, start, share
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
                    yield self._own(batch, number)
                number += 1
            if empty:
                raise DataError(
                    "the sampler yields no batch: the data has fewer images (or labels) than a "
                    "batch needs; lower the batch size or set drop_last: False."
                )
            epoch += 1
            self.begun.append((epoch, number))

    def _own(self, batch: list[int], number: int) -> list[Draw]:
        """Return this process's part of a batch: its part of each data set's images in it."""
        process, of = self.share
        sizes = getattr(self.sampler, "shares", None) or [len(batch)]
        batch = batch + [batch[i % len(batch)] for i in range(-len(batch) % of)]
        draws = list(zip(batch, mix_each(self.seed, number, count=len(batch)), strict=True))
        if of == 1:
            return draws
        own, first = [], 0
        for size in [*sizes[:-1], len(batch) - sum(sizes[:-1])]:
            part = size // of
            own += draws[first + process * part : first + (process + 1) * part]
            first += size
        return own
