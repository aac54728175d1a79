"""Person re-identification sets whose file names hold the identity and the camera."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lookalike.data.datasets.image_dataset import Backend, ImageDataset
from lookalike.data.datasets.image_folder import is_system_file
from lookalike.data.label_files import ImageRows
from lookalike.data.transforms.pipeline import with_backend
from lookalike.errors import DataError
from lookalike.names import JUNK, is_whole

Transforms = Callable[[Any], Any]


def _reid_folder(
    folder: Path,
    pattern: str,
    cameras: range,
    part: str,
    transforms: Transforms | None,
    backend: Backend,
) -> ImageDataset:
    """Read ``<person>_c<camera>...jpg``; person -1 is junk, left out; 0 is background, kept."""
    if not folder.is_dir():
        raise DataError(f"{folder}: the image folder does not exist.")
    rows = ImageRows()
    for number, file in enumerate(sorted(folder.glob("*.jpg")), start=1):
        if is_system_file(file.name):
            continue
        match = re.match(pattern, file.name)
        if match is None:
            raise DataError(f"{file}: the name does not tell person and camera.")
        if not all(map(is_whole, match.groups())):
            raise DataError(f"{file}: person and camera are numbers of at most 18 digits.")
        person, camera = int(match[1]), int(match[2])
        if person != JUNK and camera not in cameras:
            raise DataError(f"{file}: camera {camera} is not one of {cameras[0]} to {cameras[-1]}.")
        rows.add(file.name, person, number, camera - 1)
    if not rows:
        raise DataError(f"{folder}: no image.")
    images = rows.listed()
    if "train" in part:
        images = images.relabelled()
    return ImageDataset(folder, images, transforms=with_backend(transforms, backend))


def market1501(
    image_root: str,
    label_file: str,
    *,
    transforms: Transforms | None = None,
    backend: Backend = "cv2",
) -> ImageDataset:
    """Read Market-1501 from ``<image_root>/market1501/Market-1501-v15.09.15/<part>``.

    Source: Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015.

    Args:
        image_root: Folder that holds ``market1501``.
        label_file: The part: ``bounding_box_train``, ``query`` or ``bounding_box_test``.
        transforms: Applied to each file's bytes.
        backend: What the transforms see: ``cv2`` an RGB array, ``pil`` a PIL image.

    Raises:
        DataError: If the folder is missing or a name does not fit.
    """
    folder = Path(image_root) / "market1501" / "Market-1501-v15.09.15" / label_file
    return _reid_folder(folder, r"(-?\d+)_c(\d)", range(1, 7), label_file, transforms, backend)


def duke_mtmc(
    image_root: str,
    label_file: str,
    *,
    transforms: Transforms | None = None,
    backend: Backend = "cv2",
) -> ImageDataset:
    """Read DukeMTMC-reID from ``<image_root>/dukemtmc/DukeMTMC-reID/<part>``.

    Source: Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera
    Tracking", ECCV workshops 2016.

    Args:
        image_root: Folder that holds ``dukemtmc``.
        label_file: The part: ``bounding_box_train``, ``query`` or ``bounding_box_test``.
        transforms: Applied to each file's bytes.
        backend: What the transforms see: ``cv2`` an RGB array, ``pil`` a PIL image.

    Raises:
        DataError: If the folder is missing or a name does not fit.
    """
    folder = Path(image_root) / "dukemtmc" / "DukeMTMC-reID" / label_file
    return _reid_folder(folder, r"(-?\d+)_c(\d+)", range(1, 9), label_file, transforms, backend)


def msmt17(
    image_root: str, label_file: str, *, transforms: Transforms | None = None
) -> ImageDataset:
    """Read MSMT17 from ``<image_root>/msmt17/MSMT17_V1/<part>``.

    Source: Wei et al., "Person Transfer GAN to Bridge Domain Gap for Person Re-Identification",
    CVPR 2018.

    Args:
        image_root: Folder that holds ``msmt17``.
        label_file: The part: ``bounding_box_train``, ``query`` or ``bounding_box_test``.
        transforms: Applied to each file's bytes.

    Raises:
        DataError: If the folder is missing or a name does not fit.
    """
    folder = Path(image_root) / "msmt17" / "MSMT17_V1" / label_file
    return _reid_folder(folder, r"(-?\d+)_c(\d+)", range(1, 16), label_file, transforms, "cv2")
