"""Archives of arrays whose claims are held against the file before anything is unpacked.

A zip file says itself how large its members are, and an array how many numbers it has. Both are
believed only as far as the bytes on the disk can bear them out.
"""

from __future__ import annotations

import errno
import math
import os
import stat
import zipfile
import zlib
from collections.abc import Container
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

MAX_RATIO = 20
SPARED_BYTES = 64_000_000

_LOCAL_HEADER = 30
_PIECE = 1 << 20


class Unfolds(ValueError):
    """An archive that would become far larger than its file."""


def check_unpacked_size(path: str | Path) -> None:
    """Refuse a zip file that unpacks to more than 20 times its size and 64 MB.

    Weights hardly compress, so a file that claims more is made to fill the memory. What is no zip
    file passes.

    Raises:
        Unfolds: With both sizes.

    Example:
        >>> import tempfile
        >>> bomb = Path(tempfile.mkdtemp()) / "bomb.pt"
        >>> with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        ...     archive.writestr("zeros", bytes(100_000_000))
        >>> check_unpacked_size(bomb)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        lookalike.archives.Unfolds: it would unpack to 100,000,000 bytes, its file has ...
    """
    path = Path(path)
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        _check_members(archive, path.stat().st_size)


def _check_members(archive: zipfile.ZipFile, size: int) -> None:
    claimed = sum(member.file_size for member in archive.infolist())
    if claimed > MAX_RATIO * size + SPARED_BYTES:
        raise Unfolds(f"it would unpack to {claimed:,} bytes, its file has {size:,}")


def check_rows(number: int, path: str | Path) -> None:
    """Refuse a table that claims more rows than its file has bytes; rows differ from each other.

    Raises:
        Unfolds: With both numbers.
    """
    size = Path(path).stat().st_size
    if number > size:
        raise Unfolds(f"it claims {number:,} rows, its file has {size:,} bytes")


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file for reading, if it is one; a pipe would be waited for without end.

    Raises:
        OSError: If it cannot be opened, or is a folder, a pipe or a device.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = open(path, "rb", opener=lambda name, _: os.open(name, flags))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file")
    return file


def read_npz(path: str | Path, names: Container[str] | None = None) -> dict[str, Any]:
    """Read the arrays of a ``.npz`` file; those stored without compression are mapped.

    Nothing is unpickled. Every array that is read is read through once, and held against the
    checksum in the archive: a file that another process was still writing would otherwise give
    numbers. A mapped array shares the file's memory: its rows are read again when they are used,
    and writing to it changes neither file nor other readers.

    Args:
        path: The file.
        names: Which arrays to read; all by default. Others may be of any kind, and are None.

    Raises:
        ValueError: If an array holds objects, does not fit its file, does not have its checksum,
            is there twice, or would unfold.
        OSError: If the file cannot be read, or is a pipe or a device.
        zipfile.BadZipFile: If it is no archive; other errors of a damaged one are those of zipfile
            and zlib.
    """
    arrays: dict[str, Any] = {}
    # opened once: the file of this name may be replaced meanwhile
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        _check_members(archive, os.fstat(file.fileno()).st_size)
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"'{member.filename}' is there twice")
            if names is not None and name not in names:
                arrays[name] = None
                continue
            stored = member.compress_type == zipfile.ZIP_STORED
            arrays[name] = _mapped(file, member) if stored else _unpacked(archive, member)
    return arrays


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as file:
        shape, _, dtype = _header(file, member.filename)
        size = member.file_size - file.tell()
    if math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"'{member.filename}' has {size:,} bytes for a shape of {shape}")
    with archive.open(member) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        file.read(1)  # the checksum is compared at the end
    return array


def _mapped(file: BinaryIO, member: zipfile.ZipInfo) -> NDArray[Any]:
    """Map an array that lies uncompressed in an archive."""
    file.seek(member.header_offset)
    header = file.read(_LOCAL_HEADER)
    if len(header) < _LOCAL_HEADER or header[:4] != b"PK\x03\x04":
        raise ValueError(f"damaged at '{member.filename}'")
    name, extra = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    start = member.header_offset + _LOCAL_HEADER + name + extra
    _check_sum(file, start, member)
    file.seek(start)
    shape, fortran, dtype = _header(file, member.filename)
    order: Any = "F" if fortran else "C"
    size = start + member.file_size - file.tell()
    if math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"'{member.filename}' has {size:,} bytes for a shape of {shape}")
    if not shape or size == 0:
        file.seek(start)
        return np.lib.format.read_array(file, allow_pickle=False)
    # copy-on-write: nothing is written back, and torch may take it for writable
    place: Any = (dtype, "c", file.tell(), shape, order)
    return np.memmap(file, *place)


def _check_sum(file: BinaryIO, start: int, member: zipfile.ZipInfo) -> None:
    file.seek(start)
    left, found = member.file_size, 0
    while left and (piece := file.read(min(left, _PIECE))):
        found, left = zlib.crc32(piece, found), left - len(piece)
    if left or found != member.CRC or member.compress_size != member.file_size:
        raise ValueError(
            f"'{member.filename}' differs from its checksum; the file is damaged, or was not "
            "written to its end"
        )


def _header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"'{name}' is an array of the unknown format {version}")
    first = version == (1, 0)
    read: Any = (
        np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    )
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise ValueError(f"'{name}' holds objects, which could run code")
    if min(shape, default=0) < 0:
        raise ValueError(f"'{name}' has a shape of {shape}")
    return shape, fortran, dtype
