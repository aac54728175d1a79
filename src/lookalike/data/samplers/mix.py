"""Batches that take a share from each of several data sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from lookalike.data.samplers.planned import PlannedSampler
from lookalike.types import BatchSampler


class MixSampler(PlannedSampler):
    """Join one batch of each part's own sampler into a batch.

    Each part goes through its data at its own pace, again and again; an epoch continues where
    the one before has stopped. A part's batch that is not full is left out.

    Args:
        samplers: One per part of a :class:`~lookalike.data.datasets.MixedDataset`.
        sizes: Images of each part.
        shares: Images of each part in a batch.
        batch_size: Images per batch, the sum of the shares.
        iter_per_epoch: Batches per epoch.

    Raises:
        ValueError: If there is not one sampler and one share per part, or a part cannot fill its
            share.

    Example:
        >>> from lookalike.data.samplers import SequenceSampler
        >>> parts = [SequenceSampler([0] * 4, batch_size=2), SequenceSampler([0] * 3, batch_size=1)]
        >>> list(MixSampler(parts, [4, 3], [2, 1], batch_size=3, iter_per_epoch=3))
        [[0, 1, 4], [2, 3, 5], [0, 1, 6]]
    """

    def __init__(
        self,
        samplers: Sequence[BatchSampler],
        sizes: Sequence[int],
        shares: Sequence[int],
        *,
        batch_size: int,
        iter_per_epoch: int,
    ) -> None:
        if not len(samplers) == len(sizes) == len(shares) or iter_per_epoch < 1:
            raise ValueError(
                f"one sampler per data set and at least one batch expected, got {len(samplers)} "
                f"samplers, {len(sizes)} data sets and iter_per_epoch {iter_per_epoch}."
            )
        if sum(shares) != batch_size or min(shares) < 1:
            raise ValueError(
                f"the shares {list(shares)} do not make a batch of {batch_size}; each ratio must "
                "leave its data set an image."
            )
        super().__init__(iter_per_epoch * batch_size, batch_size, True, 0)
        self.samplers, self.shares = list(samplers), list(shares)
        self.starts = [sum(sizes[:number]) for number in range(len(sizes))]
        # full batches in a pass; where their number varies, that of the first pass
        self.passes = [sum(1 for _ in self._full(part, 0)) for part in range(len(sizes))]
        if 0 in self.passes:
            part = self.passes.index(0)
            raise ValueError(
                f"data set {part} has {sizes[part]} images, too few for its share of "
                f"{shares[part]} in a batch."
            )

    def plan(self, epoch: int) -> Iterator[list[int]]:
        """Yield the batches of an epoch."""
        streams = [self._stream(part, epoch * len(self)) for part in range(len(self.samplers))]
        for _ in range(len(self)):
            yield [
                start + image
                for start, stream in zip(self.starts, streams, strict=True)
                for image in next(stream)
            ]

    def _stream(self, part: int, done: int) -> Iterator[list[int]]:
        """Yield a part's batches, pass after pass, from the place where ``done`` have been."""
        first, skipped = divmod(done, self.passes[part])
        for number in count(first):
            for batch in self._full(part, number):
                if skipped == 0:
                    yield batch
                else:
                    skipped -= 1

    def _full(self, part: int, number: int) -> Iterator[list[int]]:
        plan = self.samplers[part].plan(number)
        return (batch for batch in plan if len(batch) == self.shares[part])
