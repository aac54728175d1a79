"""Lists of a path and a label in the layouts of public recognition sets."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lookalike.data import label_files
from lookalike.data.datasets.image_dataset import ImageDataset
from lookalike.data.label_files import (
    ImageRows,
    ListProblems,
    read_image_list,
    read_lines,
)
from lookalike.data.transforms.pipeline import with_backend
from lookalike.errors import DataError
from lookalike.names import JUNK, is_whole

Transforms = Callable[[Any], Any]


def logo(image_root: str, label_file: str, *, transforms: Transforms | None = None) -> ImageDataset:
    """Read the list of LogoDet-3K: tab-separated, headed by a line that starts with ``image_id``.

    The second column is the class, counted from 1, the fourth the path.

    Args:
        image_root: Folder the paths are relative to.
        label_file: The list.
        transforms: Applied to each file's bytes.

    Raises:
        DataError: If the list is malformed or an image is missing.
    """
    images = ImageRows()
    problems = ListProblems(label_file)
    for number, line in read_lines(label_file):
        cells = line.rstrip("\n").split("\t")
        if cells[0] == "image_id":
            continue
        label = int(cells[1]) if len(cells) > 3 and is_whole(cells[1].strip()) else 0
        if label < 1 and label != JUNK:
            problems.add(number, f"expected image id, class from 1, ..., path; got {line[:80]!r}.")
            continue
        if label_files.inside_root(cells[3].strip(), number, problems):
            images.add(cells[3].strip(), label if label == JUNK else label - 1, number)
    problems.raise_if_any()
    return ImageDataset(image_root, images.listed(), transforms=transforms, source=label_file)


def label_from_transform(
    image_root: str,
    list_file: str,
    *,
    transforms: Transforms | None = None,
    label_key: str | None = None,
    delimiter: str | None = None,
) -> ImageDataset:
    """Read a list of paths; the label is a fact that a transform tells of the image it made.

    So a network learns without labels, for example to tell by which angle
    :class:`~lookalike.data.transforms.RandomRot90` has turned an image.

    Args:
        image_root: Folder the paths are relative to.
        list_file: One path per line.
        transforms: Applied to each file's bytes.
        label_key: Name of the fact, such as ``random_rot90_orientation``. Without it every image
            has label 0.
        delimiter: What stands behind it in a line is ignored; by default the whole line is the
            path.

    Raises:
        DataError: If the list is malformed or an image is missing.
    """
    images = ImageRows()
    problems = ListProblems(list_file)
    for number, line in read_lines(list_file):
        path = line.strip() if delimiter is None else line.strip().split(delimiter)[0].strip()
        if label_files.inside_root(path, number, problems):
            images.add(path, 0, number)
    problems.raise_if_any()
    return ImageDataset(
        image_root, images.listed(), transforms=transforms, source=list_file, label_key=label_key
    )


def icartoon(
    image_root: str, label_file: str, *, transforms: Transforms | None = None
) -> ImageDataset:
    """Read the list of iCartoonFace: path and label, separated by a tab.

    Args:
        image_root: Folder the paths are relative to.
        label_file: The list.
        transforms: Applied to each file's bytes.

    Raises:
        DataError: If the list is malformed or an image is missing.
    """
    images = read_image_list(label_file, split=_tabs, cameras=False)
    return ImageDataset(image_root, images, transforms=transforms, source=label_file)


def _tabs(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("\t")]


def comp_cars(
    image_root: str,
    label_file: str,
    label_root: str,
    *,
    transforms: Transforms | None = None,
    bbox_crop: bool = False,
) -> ImageDataset:
    """Read CompCars: a list of path and label, and a file with a box for every image.

    The box of ``a/b.jpg`` stands in the last line of ``<label_root>/a/b.txt`` as
    ``x1 y1 x2 y2``.

    Args:
        image_root: Folder the paths are relative to.
        label_file: The list.
        label_root: Folder of the boxes.
        transforms: Applied to the decoded (and cut) image.
        bbox_crop: Cut the image to its box.

    Raises:
        DataError: If the list or a box is malformed, or a file is missing.
    """
    images = read_image_list(label_file, cameras=False)
    boxes = [_read_box(Path(label_root), path) for path in images.paths] if bbox_crop else None
    return ImageDataset(image_root, images, transforms=transforms, source=label_file, boxes=boxes)


def _read_box(root: Path, path: str) -> tuple[int, int, int, int]:
    file = root / (os.path.normpath(path).split(".")[0] + ".txt")
    *_, (_, last) = read_lines(file)
    try:
        x1, y1, x2, y2 = (int(text) for text in last.split())
    except ValueError as error:
        raise DataError(f"{file}: the last line must be x1 y1 x2 y2, got {last!r}.") from error
    if not (0 <= x1 < x2 and 0 <= y1 < y2):
        raise DataError(f"{file}: the box {x1} {y1} {x2} {y2} is empty.")
    return x1, y1, x2, y2


def face_list(
    image_root: str, label_file: str, *, transforms: Transforms | None = None
) -> ImageDataset:
    """Read a list of faces for training: path and label, opened as PIL images.

    Args:
        image_root: Folder the paths are relative to.
        label_file: The list.
        transforms: Applied to a PIL image.

    Raises:
        DataError: If the list is malformed or an image is missing.
    """
    images = read_image_list(label_file, cameras=False)
    return ImageDataset(
        image_root, images, transforms=with_backend(transforms, "pil"), source=label_file
    )
