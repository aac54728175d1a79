"""What batch samplers share: a length, epochs that can be repeated, images sorted by label."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from lookalike.data.samplers.label_groups import LabelGroups, check_batch


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


class IdentitySampler(PlannedSampler):
    """Batches of P labels with K images each.

    Args:
        labels: One per image.
        batch_size: P * K.
        images_per_label: K.
        drop_last: As in PlannedSampler.
        seed: As in PlannedSampler.

    Raises:
        ValueError: If K does not divide batch_size, or there are fewer than P labels.
    """

    def __init__(
        self,
        labels: Sequence[int],
        batch_size: int,
        images_per_label: int,
        drop_last: bool,
        seed: int,
    ) -> None:
        self.groups = LabelGroups(labels)
        self.labels_per_batch = check_batch(batch_size, images_per_label, len(self.groups))
        super().__init__(len(labels), batch_size, drop_last, seed)
        self.images_per_label = images_per_label
