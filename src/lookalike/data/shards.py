"""Images in a few large tar files, read at random by an index.

A shard is a plain tar file in the convention of WebDataset: the members of one image stand next to
each other and share their name up to the first dot, ``000000012.jpg`` and ``000000012.json``. The
index beside the shards holds where each image's bytes begin, so that an identity sampler can ask
for any of them, at the price of one read.
"""

from __future__ import annotations

import os
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.archives import read_npz
from lookalike.data.columns import Integers, Texts
from lookalike.data.decode import MAX_BYTES
from lookalike.data.label_files import ImageList, ListProblems, inside_root
from lookalike.errors import DataError

INDEX = "index.npz"
FORMAT = 1
# of one process; a shard stays open between reads
_MAX_OPEN = 64

Arrays = dict[str, NDArray[Any]]


def shard_name(number: int) -> str:
    """Return the file name of a shard.

    Example:
        >>> shard_name(7)
        'shard-000007.tar'
    """
    return f"shard-{number:06d}.tar"


def member_name(index: int, suffix: str) -> str:
    """Return the name of one of an image's members.

    Example:
        >>> member_name(12, "jpg")
        '000000012.jpg'
    """
    return f"{index:09d}.{suffix}"


class Shards:
    """The images of a packed data set; see :func:`~lookalike.data.pack.pack_images`.

    Args:
        folder: Holds the shards and their index.

    Attributes:
        images: Paths, labels and cameras of the data set that was packed.
        image_root: The folder its paths are relative to; it need not be there any more.

    Raises:
        DataError: If the index is missing or damaged, or a shard is not the one it describes.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        arrays = _read_index(self.folder)
        self.shards, self.offsets, self.sizes, self.checks = (
            Integers(arrays[name]) for name in ("shards", "offsets", "sizes", "checks")
        )
        self.image_root = Path(str(arrays["image_root"]))
        cameras = arrays["cameras"] if len(arrays["cameras"]) else None
        lines = np.arange(len(self.sizes))
        paths = _texts(arrays["paths"], arrays["path_ends"])
        self.images = ImageList(
            paths,
            Integers(arrays["labels"]),
            _column(cameras),
            Integers(lines),
            class_names=_names(arrays, "class_names", "labels"),
            camera_names=_names(arrays, "camera_names", "cameras"),
        )
        _check(self.folder, arrays, self.images)
        self.open: OrderedDict[int, int] = OrderedDict()

    def __getstate__(self) -> Mapping[str, Any]:
        # a process opens the files for itself
        return {**self.__dict__, "open": OrderedDict()}

    def __del__(self) -> None:
        for descriptor in getattr(self, "open", {}).values():
            os.close(descriptor)

    def read(self, index: int) -> bytes:
        """Return the bytes of an image's file as they were packed.

        Raises:
            DataError: If they cannot be read, or are not what was packed.
        """
        size, offset = self.sizes[index], self.offsets[index]
        try:
            data = os.pread(self._descriptor(self.shards[index]), size, offset)
        except OSError as error:
            raise DataError(f"{self.name(index)}: cannot be read ({error.strerror}).") from error
        if len(data) != size or zlib.crc32(data) != self.checks[index]:
            raise DataError(
                f"{self.name(index)}: not what was packed (its checksum differs); pack the data "
                "set again."
            )
        return data

    def name(self, index: int) -> str:
        """Return shard, place and path of an image, for messages."""
        shard = self.folder / shard_name(self.shards[index])
        return f"{shard}: {member_name(index, '*')} ({self.images.paths[index]})"

    def _descriptor(self, shard: int) -> int:
        if shard in self.open:
            self.open.move_to_end(shard)
            return self.open[shard]
        if len(self.open) >= _MAX_OPEN:
            os.close(self.open.popitem(last=False)[1])
        self.open[shard] = os.open(self.folder / shard_name(shard), os.O_RDONLY)
        return self.open[shard]


_KINDS = {
    "format": "i",
    "image_root": "U",
    "shard_sizes": "i",
    "shards": "i",
    "offsets": "i",
    "sizes": "i",
    "checks": "i",
    "labels": "i",
    "cameras": "i",
    "paths": "u",
    "path_ends": "i",
}


_OPTIONAL = ("class_names", "camera_names")


def _read_index(folder: Path) -> Arrays:
    file = folder / INDEX
    try:
        stored = read_npz(file)
        arrays = {name: np.asarray(stored[name]) for name in _KINDS}
        arrays |= {name: np.asarray(stored[name]) for name in _OPTIONAL if name in stored}
    except OSError as error:
        raise DataError(
            f"{file}: cannot be read ({error.strerror}). A packed data set is a folder that "
            "'lookalike pack' wrote."
        ) from error
    except Exception as error:  # noqa: BLE001 - a damaged file fails in every way
        raise DataError(f"{file}: damaged, or no index of shards ({error}).") from error
    number = len(arrays["sizes"]) if arrays["sizes"].ndim == 1 else -1
    alike = ("shards", "offsets", "sizes", "checks", "labels", "path_ends")
    fits = all(arrays[name].dtype.kind == kind for name, kind in _KINDS.items())
    fits &= all(arrays[name].shape == (number,) for name in alike)
    fits &= arrays["cameras"].shape in ((0,), (number,)) and arrays["shard_sizes"].ndim == 1
    if not fits or number < 1 or arrays["format"].shape != () or int(arrays["format"]) != FORMAT:
        raise DataError(f"{file}: damaged, or written by another version of 'lookalike pack'.")
    return arrays


def _check(folder: Path, arrays: Arrays, images: ImageList) -> None:
    """Refuse an index that points outside its shards, and shards that are not its own."""
    shards, offsets, sizes = arrays["shards"], arrays["offsets"], arrays["sizes"]
    whole = arrays["shard_sizes"]
    wrong = (shards < 0) | (shards >= len(whole)) | (offsets < 0) | (sizes < 1)
    wrong |= sizes > MAX_BYTES
    wrong |= offsets > whole[np.clip(shards, 0, len(whole) - 1)] - sizes
    if wrong.any() or (arrays["labels"] < 0).any():
        raise DataError(f"{folder / INDEX}: damaged; image {int(wrong.argmax())} is in no shard.")
    problems = ListProblems(folder / INDEX)
    for index, path in enumerate(images.paths):
        inside_root(path, index, problems)
    problems.raise_if_any()
    for number, size in enumerate(whole.tolist()):
        shard = folder / shard_name(number)
        found = shard.stat().st_size if shard.is_file() else None
        if found != size:
            what = "is missing" if found is None else f"has {found:,} bytes"
            raise DataError(f"{shard}: {what}; the index describes a shard of {size:,} bytes.")


def _texts(data: NDArray[np.uint8], ends: NDArray[np.int64]) -> Texts:
    if (np.diff(ends, prepend=0) < 0).any() or len(data) != ends[-1]:
        raise DataError(f"{INDEX}: damaged; its paths do not fit.")
    starts = [0, *ends[:-1].tolist()]
    whole = data.tobytes()
    try:
        return Texts(
            whole[start:end].decode("utf-8", "surrogatepass")
            for start, end in zip(starts, ends.tolist(), strict=True)
        )
    except UnicodeDecodeError as error:
        raise DataError(f"{INDEX}: damaged; a path is no text.") from error


def _names(arrays: Arrays, name: str, column: str) -> list[str] | None:
    if name not in arrays:
        return None
    names, numbers = arrays[name], arrays[column]
    if names.dtype.kind != "U" or names.ndim != 1 or numbers.max(initial=-1) >= len(names):
        raise DataError(f"{INDEX}: damaged; its {name} do not fit.")
    return [str(one) for one in names]


def _column(values: NDArray[np.int64] | None) -> Integers | None:
    return None if values is None else Integers(values)
