"""A folder with one folder of images for each class."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from lookalike.data.datasets.image_dataset import Backend, ImageDataset
from lookalike.data.label_files import ImageRows
from lookalike.data.transforms.pipeline import with_backend
from lookalike.errors import DataError
from lookalike.names import JUNK, is_junk

_IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".avif", ".tif", ".tiff")
)
# besides names that begin with a dot: what Windows, macOS and network disks put into folders
_SYSTEM_NAMES = frozenset(
    ("@eadir", "#recycle", "__macosx", "$recycle.bin", "system volume information", "lost+found")
    + ("thumbs.db", "desktop.ini")
)
_MAX_NAMED = 3


def image_folder(
    image_root: str, *, transforms: Callable[[Any], Any] | None = None, backend: Backend = "cv2"
) -> ImageDataset:
    """Take every sub-folder as a class; the classes are numbered in the order of their names.

    Hidden files and folders, those that operating systems create (``._x.jpg``, ``@eaDir``,
    ``__MACOSX``), and folders without an image are skipped; ``images.notes`` says which. A folder
    named ``-1`` holds junk.

    Args:
        image_root: Folder with one folder per class; each may have sub-folders.
        transforms: Applied to each file's bytes.
        backend: What the transforms see: ``cv2`` an RGB array, ``pil`` a PIL image.

    Raises:
        DataError: If there is no image, or a folder cannot be read.
    """
    root = Path(image_root)
    if not root.is_dir():
        raise DataError(f"{root}: the image folder does not exist.")
    skipped = _Skipped()
    rows, names = ImageRows(), list[str]()
    num_folders = 0
    for path in sorted(_listed(root)):
        if is_system_file(path.name):
            skipped.add("hidden or system files and folders", path.name)
        elif not path.is_dir():
            skipped.add("files outside of the class folders", path.name)
        else:
            num_folders += 1
            files = sorted(_images_below(path, skipped))
            if not files:
                skipped.add("folders without images", path.name)
                continue
            label = JUNK if is_junk(path.name) else len(names)
            for file in files:
                rows.add(str(file.relative_to(root)), label, len(rows) + 1)
            if label != JUNK:
                names.append(path.name)
    if not rows:
        raise DataError(f"{root}: no image in any of its {num_folders} sub-folders.")
    images = rows.listed()
    images = replace(images, class_names=names, notes=(*images.notes, *skipped.notes(root)))
    return ImageDataset(root, images, transforms=with_backend(transforms, backend))


def is_system_file(name: str) -> bool:
    """Return whether a file or folder is hidden, or one that an operating system creates.

    Example:
        >>> [is_system_file(name) for name in (".ipynb_checkpoints", "._1.jpg", "@eaDir", "cat")]
        [True, True, True, False]
    """
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


class _Skipped:
    """What a scan has left out, by reason."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}

    def add(self, reason: str, name: str) -> None:
        self.found.setdefault(reason, []).append(name)

    def notes(self, root: Path) -> list[str]:
        """Return a sentence for each reason, with a few names."""
        notes = []
        for reason, names in self.found.items():
            shown = ", ".join(sorted(names)[:_MAX_NAMED])
            more = ", ..." if len(names) > _MAX_NAMED else ""
            notes.append(f"{root}: skipped {len(names):,} {reason} ({shown}{more}).")
        return notes


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}).") from error


def _images_below(folder: Path, skipped: _Skipped) -> Iterator[Path]:
    """Yield the images of a class folder and its sub-folders."""

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror}).") from error

    for here, folders, files in os.walk(folder, onerror=refuse):
        where = Path(here)
        for name in [name for name in folders if is_system_file(name)]:
            skipped.add("hidden or system files and folders", f"{where.name}/{name}")
            folders.remove(name)
        for name in folders:
            if (where / name).is_symlink():
                skipped.add("links to folders below a class folder", f"{where.name}/{name}")
        for name in files:
            shown = f"{where.name}/{name}"
            if is_system_file(name):
                skipped.add("hidden or system files and folders", shown)
            elif Path(name).suffix.lower() not in _IMAGE_SUFFIXES:
                skipped.add("files of other types", shown)
            elif not (where / name).is_file():
                skipped.add("broken links or special files", shown)
            else:
                yield where / name
