"""Files that are whole or absent, whatever happens while they are written.

What must not be lost is written under another name, synced, and renamed when it is complete; then
the folder is synced, which makes the new name last. Every step passes a point of
:mod:`lookalike.faults`, named after what is written.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import re
import secrets
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
def staging(target: Path, what: str = "file") -> Iterator[Path]:
    """Make a folder next to ``target`` in which to write what will be renamed to it.

    Each call has a folder of its own, so several processes may write one target at a time, and
    the last one to rename wins. What a killed process has left is removed by the next call for
    the same target: a folder whose process lives is locked.

    Args:
        target: File or folder that will be written.
        what: For the fault points.

    Yields:
        An empty folder, that is gone afterwards with what is still in it.

    Raises:
        SetupError: If it cannot be written.
    """
    with writing(target):
        for left in _unfinished(target):
            with _locked(left) as ours:
                if ours:
                    remove(left, what)
        with _new_folder(target) as folder:
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)


def _prefix(target: Path) -> str:
    # a file's name has at most 255 bytes
    name = os.fsdecode(os.fsencode(target.name)[:200])
    return f".{name}.writing-"


def _unfinished(target: Path) -> list[Path]:
    """Return the folders of :func:`staging` for a target, of whatever process."""
    names = re.compile(re.escape(_prefix(target)) + "[0-9a-f]{8}")
    return [one for one in target.parent.iterdir() if names.fullmatch(one.name)]


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    while True:
        folder = target.with_name(f"{_prefix(target)}{secrets.token_hex(4)}")
        folder.mkdir()
        with _locked(folder) as ours:
            # another process may have taken it for a leftover before it was locked
            if ours is not False and folder.exists():
                yield folder
                return


@contextmanager
def _locked(path: Path) -> Iterator[bool | None]:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        yield False
        return
    with held_lock(descriptor) as ours:
        yield ours


@contextmanager
def held_lock(descriptor: int, *, wait: bool = False) -> Iterator[bool | None]:
    """Lock an open file or folder during the block, and not beyond the life of this process.

    Args:
        descriptor: Is closed at the end.
        wait: For another process that has locked it.

    Yields:
        Whether it is locked now; None where the file system knows no locks.
    """
    _open_locks.add(descriptor)
    try:
        ours: bool | None = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            ours = False
        except OSError:
            ours = None
        yield ours
    finally:
        _open_locks.discard(descriptor)
        os.close(descriptor)


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Keep other processes that call this out of a folder during the block; wait for them first."""
    with held_lock(os.open(folder, os.O_RDONLY), wait=True):
        yield


# a forked process would keep a lock beyond the life of the one that took it
_open_locks: set[int] = set()


def _release_locks() -> None:
    for descriptor in _open_locks:
        os.close(descriptor)
    _open_locks.clear()


os.register_at_fork(after_in_child=_release_locks)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Write a file that has its name only when it is complete.

    Args:
        path: The file; an existing one stays as it is until it is replaced. A symbolic link is
            followed.

    Yields:
        Where to write: a file of the same name in a folder of :func:`staging`; or ``path`` itself
        where it is a pipe or a device.

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
    path = Path(os.path.realpath(path))
    if path.exists() and not (path.is_file() or path.is_dir()):
        with writing(path):
            yield path
        return
    with staging(path) as folder:
        yield folder / path.name
        sync(folder / path.name)
        rename(folder / path.name, path)
        sync(path.parent)


def write_whole(path: Path, text: str) -> None:
    """Write a text file that has its name only when it is complete.

    Raises:
        SetupError: If it cannot be written.
    """
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Write a folder that has its name only when it is complete.

    Args:
        path: The folder; must not exist, or be empty.

    Yields:
        Where to write: a folder of another name next to it.

    Raises:
        SetupError: If it cannot be written, or ``path`` has been filled meanwhile.
    """
    with staging(path) as folder:
        unfinished = folder / path.name
        unfinished.mkdir()
        yield unfinished
        sync(unfinished)
        rename(unfinished, path)
        sync(path.parent)
