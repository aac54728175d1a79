"""Identity batches that hold an equal share of every camera."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lookalike.data.samplers.label_groups import LabelGroups, draw_distinct, uniforms_of
from lookalike.data.samplers.planned import PlannedSampler


class DomainShuffleSampler(PlannedSampler):
    """Draw labels with K images each, the same number of labels from every domain.

    A domain is a camera, or what ``camera_to_domain`` makes of it. Used to split a batch into
    meta-train and meta-test domains.

    Source: Choi et al., "Meta Batch-Instance Normalization", CVPR 2021, section 4.1.
    https://arxiv.org/abs/2011.14670

    Args:
        labels: One per image.
        cameras: One per image.
        batch_size: Images per batch.
        images_per_label: K.
        drop_last: Only changes ``len()``.
        camera_to_domain: Each camera is a domain of its own; False makes the data one domain.
        seed: Start of the random stream. The same (seed, epoch) gives the same batches.

    Raises:
        ValueError: If the batch cannot be shared out evenly, or a domain has too few labels.

    Example:
        >>> labels, cameras = [0, 0, 1, 1, 2, 2, 3, 3], [0, 0, 0, 0, 1, 1, 1, 1]
        >>> sampler = DomainShuffleSampler(labels, cameras, batch_size=4, images_per_label=2)
        >>> {cameras[i] for i in next(iter(sampler))} == {0, 1}
        True
    """

    def __init__(
        self,
        labels: Sequence[int],
        cameras: Sequence[int],
        *,
        batch_size: int,
        images_per_label: int,
        drop_last: bool = False,
        camera_to_domain: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(len(labels), batch_size, drop_last, seed)
        self.images_per_label = images_per_label
        where = np.asarray(cameras) if camera_to_domain else np.zeros(len(labels), dtype=np.int64)
        self.images = [np.flatnonzero(where == domain) for domain in np.unique(where)]
        values = np.asarray(labels)
        self.groups = [LabelGroups(values[images].tolist()) for images in self.images]
        share = batch_size // len(self.groups)
        if share * len(self.groups) != batch_size or share % images_per_label or share < 1:
            raise ValueError(
                f"batch_size must be a multiple of domains x images per label, got {batch_size} "
                f"for {len(self.groups)} domains x {images_per_label}."
            )
        self.labels_per_domain = share // images_per_label
        fewest = min(len(groups) for groups in self.groups)
        if fewest < self.labels_per_domain:
            raise ValueError(
                f"a batch needs {self.labels_per_domain} labels of every domain, one has {fewest}."
            )

    def plan(self, epoch: int) -> Iterator[list[int]]:
        """Yield the batches of an epoch."""
        uniforms = uniforms_of(np.random.default_rng([self.seed, epoch]))
        for _ in range(len(self)):
            batch: list[int] = []
            for images, groups in zip(self.images, self.groups, strict=True):
                labels = draw_distinct(uniforms, len(groups), self.labels_per_domain)
                drawn = groups.draw_images(uniforms, labels, self.images_per_label)
                batch += images[drawn].tolist()
            yield batch
