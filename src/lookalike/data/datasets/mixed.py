"""Several data sets as one."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from lookalike.data.classes import share_cameras, share_classes
from lookalike.data.columns import Integers, Texts
from lookalike.data.datasets.image_dataset import ImageDataset
from lookalike.errors import DataError
from lookalike.types import Sample


class MixedDataset:
    """The images of several data sets one after the other, each with its own transforms.

    Classes and cameras are the same in two data sets if they have the same name, or, where lists
    have numbers, the same number; so give each list a range of numbers of its own.

    Args:
        datasets: At least one.

    Attributes:
        labels: One per image.
        cameras: One per image, or None if a data set has none.
        paths: One per image, relative to ``image_root``.
        image_root: The folder that holds the folders of all.
        class_names: Name of each label, or None where labels are numbers of the lists.
        camera_names: Name of each camera, or None where cameras are numbers of the lists.
        sizes: Images of each data set.

    Raises:
        DataError: If there is none.
    """

    def __init__(self, datasets: Sequence[ImageDataset]) -> None:
        if not datasets:
            raise DataError("a mixed data set needs at least one data set.")
        images = share_cameras(share_classes([dataset.images for dataset in datasets]))
        datasets = [d.with_images(own) for d, own in zip(datasets, images, strict=True)]
        self.datasets = datasets
        self.label_key = self.datasets[0].label_key
        self.sizes = [len(dataset) for dataset in datasets]
        self.starts = [0, *accumulate(self.sizes)]
        self.labels = Integers.joined(dataset.labels for dataset in datasets)
        cameras = [dataset.cameras for dataset in datasets]
        known = [own for own in cameras if own is not None]
        self.cameras = Integers.joined(known) if len(known) == len(cameras) else None
        self.class_names = images[0].class_names
        self.camera_names = None if self.cameras is None else images[0].camera_names
        self.source = " + ".join(dataset.source for dataset in datasets)
        roots = [dataset.image_root.resolve() for dataset in datasets]
        self.image_root = Path(os.path.commonpath(roots))
        self.paths = Texts(
            (root.relative_to(self.image_root) / path).as_posix()
            for root, dataset in zip(roots, datasets, strict=True)
            for path in dataset.paths
        )

    @property
    def transforms(self) -> Callable[[Any], Any]:
        """The chain of the first data set."""
        return self.datasets[0].transforms

    def __len__(self) -> int:
        return self.starts[-1]

    def __getitem__(self, index: int) -> Sample:
        number, own = self._find(index)
        return replace(self.datasets[number][own], index=index)

    def _find(self, index: int) -> tuple[int, int]:
        number = bisect_right(self.starts, index) - 1
        return number, index - self.starts[number]

    def file_bytes(self, index: int) -> bytes:
        """Return the content of an image's file."""
        number, own = self._find(index)
        return self.datasets[number].file_bytes(own)

    def content(self, index: int) -> bytes:
        """Return a hash of all that makes the image of a sample, as of its own data set."""
        number, own = self._find(index)
        return self.datasets[number].content(own)

    def where(self, index: int) -> str:
        """Return ``list:line`` of an image, for messages."""
        number, own = self._find(index)
        return self.datasets[number].where(own)

    def check_labels(self, num_classes: int) -> None:
        """Refuse labels that a head with ``num_classes`` outputs cannot learn.

        Raises:
            DataError: As :meth:`ImageDataset.check_labels`.
        """
        for dataset in self.datasets:
            dataset.check_labels(num_classes)

    def with_transforms(self, transforms: Callable[[Any], Any]) -> MixedDataset:
        """Return the same images under other transforms, one chain for all."""
        return MixedDataset([dataset.with_transforms(transforms) for dataset in self.datasets])
