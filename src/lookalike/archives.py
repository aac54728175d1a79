"""Archives of arrays whose claims are held against the file before anything is unpacked.

A zip file says itself how large its members are, and an array how many numbers it has. Both are
believed only as far as the bytes on the disk can bear them out.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

MAX_RATIO = 20
SPARED_BYTES = 64_000_000

_LOCAL_HEADER = 30


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


def read_npz(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of a ``.npz`` file; those stored without compression are mapped.

    Nothing is unpickled. A mapped array shares the file's memory: its rows are read when they are
    used, and writing to it changes neither file nor other readers.

    Raises:
        ValueError: If an array holds objects, does not fit its file, or would unfold.
        OSError: If the file cannot be read.
        zipfile.BadZipFile: If it is no archive; other errors of a damaged one are those of zipfile
            and zlib.
    """
    path = Path(path)
    arrays: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(path) as archive:
        _check_members(archive, path.stat().st_size)
        for member in archive.infolist():
            stored = member.compress_type == zipfile.ZIP_STORED
            read = _mapped(path, member) if stored else _unpacked(archive, member)
            arrays[member.filename.removesuffix(".npy")] = read
    return arrays


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as file:
        shape, _, dtype = _header(file, member.filename)
        size = member.file_size - file.tell()
    if math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"'{member.filename}' has {size:,} bytes for a shape of {shape}")
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _mapped(path: Path, member: zipfile.ZipInfo) -> NDArray[Any]:
    """Map an array that lies uncompressed in an archive."""
    with path.open("rb") as file:
        file.seek(member.header_offset)
        header = file.read(_LOCAL_HEADER)
        if len(header) < _LOCAL_HEADER or header[:4] != b"PK\x03\x04":
            raise ValueError(f"damaged at '{member.filename}'")
        name, extra = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
        start = member.header_offset + _LOCAL_HEADER + name + extra
        file.seek(start)
        shape, fortran, dtype = _header(file, member.filename)
        order: Any = "F" if fortran else "C"
        if not shape or 0 in shape or dtype.itemsize == 0:
            if math.prod(shape) * dtype.itemsize > member.file_size:
                raise ValueError(f"'{member.filename}' ends too soon")
            file.seek(start)
            return np.lib.format.read_array(file, allow_pickle=False)
        # copy-on-write: nothing is written back, and torch may take it for writable
        place: Any = (dtype, "c", file.tell(), shape, order)
        return np.memmap(path, *place)


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
