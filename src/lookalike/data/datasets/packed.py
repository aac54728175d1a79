"""A data set that ``lookalike pack`` has put into a few large files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lookalike.data.datasets.image_dataset import Backend, ImageDataset
from lookalike.data.shards import INDEX, Shards
from lookalike.data.transforms.pipeline import with_backend


def packed(
    image_root: str, *, transforms: Callable[[Any], Any] | None = None, backend: Backend = "cv2"
) -> ImageDataset:
    """Read shards with their index: a read at a place in a large file instead of a file per image.

    Images, labels, cameras and paths are those of the data set that was packed, to the bit.

    Args:
        image_root: The folder of the shards.
        transforms: Applied to each image's bytes.
        backend: What the transforms see: ``cv2`` an RGB array, ``pil`` a PIL image.

    Raises:
        DataError: If the index is missing or damaged, or does not fit the shards.
    """
    shards = Shards(image_root)
    return ImageDataset(
        shards.image_root,
        shards.images,
        transforms=with_backend(transforms, backend),
        source=shards.folder / INDEX,
        files=shards,
    )
