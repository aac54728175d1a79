"""Where the bytes of a data set's images are read from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Protocol

from lookalike.data.decode import read_image_bytes
from lookalike.errors import DataError


class ImageFiles(Protocol):
    """The files of a data set's images, by position; picklable."""

    def read(self, index: int) -> bytes:
        """Return the content of an image's file."""
        ...

    def name(self, index: int) -> str:
        """Return what messages call an image's file."""
        ...


_LISTED_ONLY = ContextVar("listed_only", default=False)


@contextmanager
def listed_only() -> Iterator[None]:
    """Make data sets of lists whose files may be missing, for who will look at every file.

    Readers build their data sets themselves, so this cannot be an argument of the constructor.
    """
    token = _LISTED_ONLY.set(True)
    try:
        yield
    finally:
        _LISTED_ONLY.reset(token)


class FolderFiles:
    """A file for each image, below one folder.

    Args:
        root: The folder.
        paths: Relative to it.
        where: Position to the line of the list, for messages.

    Raises:
        DataError: If the folder or one of the images is missing.
    """

    def __init__(self, root: Path, paths: Sequence[str], where: Callable[[int], str]) -> None:
        self.root, self.paths = root, paths
        if not root.is_dir():
            raise DataError(f"{root}: the image folder does not exist.")
        if not _LISTED_ONLY.get():
            self._check(where)

    def read(self, index: int) -> bytes:
        """Return the content of an image's file."""
        return read_image_bytes(self.root / self.paths[index])

    def name(self, index: int) -> str:
        """Return the path of an image's file."""
        return str(self.root / self.paths[index])

    def _check(self, where: Callable[[int], str]) -> None:
        """Look every file up once, a folder at a time, which is far cheaper than a stat each."""
        names: dict[str, set[str]] = {}
        missing = []
        for index, path in enumerate(self.paths):
            folder, name = os.path.split(path)
            if folder not in names:
                names[folder] = _names_in(self.root / folder)
            if name not in names[folder]:
                shown = path if len(path) < 300 else f"{path[:300]}..."
                missing.append(f"{where(index)}: no such image: {self.root / shown}")
        if missing:
            more = [f"... and {len(missing) - 20} more"] if len(missing) > 20 else []
            raise DataError("\n".join(missing[:20] + more))


def _names_in(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except (OSError, ValueError):
        return set()
