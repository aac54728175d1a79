"""Files that are whole or absent, whatever happens while they are written.

What must not be lost is written under another name, synced, and renamed when it is complete; then
the folder is synced, which makes the new name last. Every step passes a point of
:mod:`lookalike.faults`, named after what is written.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from lookalike.errors import writing
from lookalike.faults import fault_point


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path, what: str = "file") -> None:
    """Return when a file's content, or a folder's entries, are on the disk."""
    fault_point(f"{what}.sync")
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(source: Path, target: Path, what: str = "file") -> None:
    """Give a file or folder another name, in one step; a file of that name is replaced."""
    fault_point(f"{what}.rename")
    os.replace(source, target)


def remove(path: Path, what: str = "file") -> None:
    """Delete a file, or a folder with all that is in it, if it is there."""
    fault_point(f"{what}.remove")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _Passing(io.FileIO):
    """A file that passes a fault point at each write to the system."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(path, "wb")
        self.what = what

    def write(self, data: Any) -> int:
        fault_point(f"{self.what}.write")
        return super().write(data)


@contextmanager
def synced(path: Path, what: str = "file") -> Iterator[BinaryIO]:
    """Open a new file; when the block ends, its content is on the disk."""
    with io.BufferedWriter(_Passing(path, what)) as file:
        yield file
        file.flush()
        fault_point(f"{what}.sync")
        os.fsync(file.fileno())


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Write a file that has its name only when it is complete.

    Args:
        path: The file; an existing one stays as it is until it is replaced.

    Yields:
        Where to write: a hidden name beside it, that is gone afterwards.

    Raises:
        SetupError: If the disk is full or the folder cannot be written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "list.txt"
        >>> with whole_file(path) as unfinished:
        ...     _ = unfinished.write_text("a.jpg 0")
        >>> path.read_text(), [p.name for p in path.parent.iterdir()]
        ('a.jpg 0', ['list.txt'])
    """
    unfinished = path.with_name(f".{path.name}.writing")
    with writing(path):
        try:
            yield unfinished
            sync(unfinished)
            rename(unfinished, path)
            sync(path.parent)
        finally:
            unfinished.unlink(missing_ok=True)
