"""What a network has computed of images, kept in files and found by content."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lookalike.durable import whole_file
from lookalike.errors import DataError

Contents = NDArray[np.bytes_]
"""One hash of 32 bytes per image."""


class FeatureStore:
    """Features in the files of a folder, each beside the hash of the image it was computed from.

    Files are only added, and have their name when they are complete: a computation that was
    stopped goes on behind its last file, and several runs may use one folder. A file is a numpy
    array of rows ``content``, ``check`` (a CRC-32) and ``features``; it is mapped, not read.

    Args:
        folder: Where the files are, or will be.
        shape: Of one image's features.

    Raises:
        DataError: If a file is damaged, or holds features of another shape.

    Example:
        >>> import tempfile
        >>> store = FeatureStore(Path(tempfile.mkdtemp()), [2])
        >>> contents = np.array([b"a" * 32, b"b" * 32])
        >>> store.add(contents, torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        >>> store.find(np.array([b"b" * 32, b"c" * 32])).tolist()
        [1, -1]
        >>> store.rows(np.array([1, 0])).tolist()
        [[3.0, 4.0], [1.0, 2.0]]
    """

    def __init__(self, folder: Path, shape: Sequence[int]) -> None:
        self.folder = folder
        self.kind = np.dtype(
            [("content", "S32"), ("check", "<u4"), ("features", "<f4", tuple(shape))]
        )
        self.files = sorted(folder.glob("part-*.npy"))
        self.parts = [self._map(file) for file in self.files]
        self._sort()

    def __len__(self) -> int:
        return len(self.contents)

    def find(self, contents: Contents) -> NDArray[np.int64]:
        """Return the place of each image's features, -1 where they are not there."""
        if not len(self):
            return np.full(len(contents), -1)
        near = np.searchsorted(self.contents, contents, sorter=self.order)
        places = self.order[np.minimum(near, len(self) - 1)]
        return np.where(self.contents[places] == contents, places, -1)

    def rows(self, places: NDArray[np.int64]) -> Tensor:
        """Return the features at some places, in that order.

        Raises:
            DataError: If a row is not what was written.
        """
        rows: NDArray[Any] = np.empty(len(places), self.kind)
        owners = np.searchsorted(self.starts, places, side="right") - 1
        for number in np.unique(owners):
            own = owners == number
            rows[own] = self.parts[number][places[own] - self.starts[number]]
        features = np.ascontiguousarray(rows["features"])
        for place, (row, check) in enumerate(zip(features, rows["check"], strict=True)):
            if zlib.crc32(row.data) != check:
                raise _damaged(self.files[owners[place]], "a row differs from its checksum")
        return torch.from_numpy(features)

    def add(self, contents: Contents, features: Tensor) -> None:
        """Write features as a file of their own.

        Raises:
            SetupError: If the disk is full or the folder cannot be written.
        """
        rows: NDArray[Any] = np.empty(len(contents), self.kind)
        rows["content"], rows["features"] = contents, features.numpy()
        rows["check"] = [zlib.crc32(row.tobytes()) for row in rows["features"]]
        name = f"part-{hashlib.sha256(rows['content'].tobytes()).hexdigest()[:16]}.npy"
        file = self.folder / name
        with whole_file(file) as unfinished, open(unfinished, "wb") as out:
            np.save(out, rows, allow_pickle=False)
        self.files.append(file)
        self.parts.append(self._map(file))
        self._sort()

    def _map(self, file: Path) -> Any:
        try:
            rows = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise _damaged(file, str(error)) from error
        if getattr(rows, "dtype", None) != self.kind or rows.ndim != 1:
            raise _damaged(file, f"features of shape {self.kind['features'].shape} expected")
        return rows

    def _sort(self) -> None:
        contents = [part["content"] for part in self.parts]
        self.contents = np.concatenate([np.empty(0, "S32"), *contents])
        self.order = np.argsort(self.contents, kind="stable")
        self.starts = np.cumsum([0, *(len(part) for part in self.parts[:-1])])


def _damaged(file: Path, reason: str) -> DataError:
    return DataError(f"{file}: damaged ({reason}). Delete it: what it held is computed anew.")
