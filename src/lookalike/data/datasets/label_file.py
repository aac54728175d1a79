"""The layout of ImageNet-style lists: ``path<delimiter>label``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lookalike.data import label_files
from lookalike.data.datasets.image_dataset import Backend, ImageDataset
from lookalike.data.transforms.pipeline import with_backend


def label_file(
    image_root: str,
    label_file: str,
    *,
    transforms: Callable[[Any], Any] | None = None,
    delimiter: str | None = None,
    relabel: bool = False,
    backend: Backend = "cv2",
) -> ImageDataset:
    """Read a list of path and label; further columns are ignored, there are no cameras.

    Args:
        image_root: Folder the paths are relative to.
        label_file: The list.
        transforms: Applied to each file's bytes.
        delimiter: Text between the columns; white space by default. Paths with blanks need one
            that is not a blank, such as a tab.
        relabel: Number the labels 0 to C - 1 in sorted order.
        backend: What the transforms see: ``cv2`` an RGB array, ``pil`` a PIL image.

    Raises:
        DataError: If the list is malformed or an image is missing.
    """

    def split(line: str) -> list[str]:
        blank = delimiter is None or not delimiter.strip(" ")
        return line.split() if blank else [part.strip() for part in line.split(delimiter)]

    images = label_files.read_image_list(label_file, split=split, cameras=False)
    if relabel:
        images = images.relabelled()
    return ImageDataset(
        image_root, images, transforms=with_backend(transforms, backend), source=label_file
    )
