"""The layout of VeRI-Wild: ``path label [camera]``, separated by white space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lookalike.data import label_files
from lookalike.data.datasets.image_dataset import Backend, ImageDataset
from lookalike.data.transforms.pipeline import with_backend


def veri_wild(
    image_root: str,
    label_file: str,
    *,
    transforms: Callable[[Any], Any] | None = None,
    backend: Backend = "cv2",
    relabel: bool = False,
) -> ImageDataset:
    """Read a list of path, label and, optionally, camera.

    The third column is a camera (or view) in re-identification. Where gallery and query are the
    same list it may be a number unique to each image; then an image never finds itself.

    Args:
        image_root: Folder the paths are relative to.
        label_file: The list.
        transforms: Applied to each file's bytes.
        backend: What the transforms see: ``cv2`` an RGB array, ``pil`` a PIL image.
        relabel: Number the labels 0 to C - 1 in sorted order.

    Raises:
        DataError: If the list is malformed or an image is missing.
    """
    images = label_files.read_image_list(label_file)
    if relabel:
        images = images.relabelled()
    return ImageDataset(
        image_root, images, transforms=with_backend(transforms, backend), source=label_file
    )
