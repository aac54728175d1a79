"""A data set of many files to a few shards; see :mod:`lookalike.data.shards`."""

from __future__ import annotations

import json
import tarfile
import zlib
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from lookalike.data.columns import Texts
from lookalike.data.decode import decode_image, image_format
from lookalike.data.shards import FORMAT, INDEX, member_name, shard_name
from lookalike.durable import synced, whole_folder
from lookalike.errors import DataError, SetupError

_SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tiff"}


class Packable(Protocol):
    """What packing needs of a data set."""

    image_root: Path

    @property
    def labels(self) -> Sequence[int]: ...

    @property
    def cameras(self) -> Sequence[int] | None: ...

    @property
    def paths(self) -> Sequence[str]: ...

    def file_bytes(self, index: int) -> bytes: ...


def pack_images(
    dataset: Packable,
    folder: Path,
    *,
    shard_bytes: int = 256_000_000,
    advance: Callable[[], None] = lambda: None,
) -> list[Path]:
    """Write the images of a data set, bytes untouched, and an index of them.

    The folder appears when all of it is written and synced; until then it has another name.

    Args:
        dataset: Images in files.
        folder: Must not exist, or be empty.
        shard_bytes: A shard that has grown beyond is closed.
        advance: Called after each image.

    Returns:
        The shards.

    Raises:
        DataError: If an image cannot be read and decoded; names up to twenty of them.
        SetupError: If the folder is not empty or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SetupError(f"{folder}: is not empty; pack into a new folder, or delete it first.")
    with whole_folder(folder) as unfinished:
        packer = _Packer(unfinished, shard_bytes)
        packer.add_all(dataset, advance)
    return [folder / shard_name(number) for number in range(len(packer.shard_sizes))]


class _Packer:
    """The shards of a folder while they are written."""

    def __init__(self, folder: Path, shard_bytes: int) -> None:
        self.folder, self.shard_bytes = folder, shard_bytes
        self.shard_sizes: list[int] = []
        self.columns = {name: array("q") for name in ("shards", "offsets", "sizes", "checks")}

    def add_all(self, dataset: Packable, advance: Callable[[], None]) -> None:
        broken: list[str] = []
        index = 0
        while index < len(dataset.paths):
            with synced(self.folder / shard_name(len(self.shard_sizes))) as shard:
                while index < len(dataset.paths) and shard.tell() < self.shard_bytes:
                    try:
                        self._add(shard, dataset, index)
                    except DataError as error:
                        broken.append(str(error))
                    index += 1
                    advance()
                shard.write(bytes(2 * tarfile.BLOCKSIZE))
                self.shard_sizes.append(shard.tell())
        if broken:
            more = [f"... and {len(broken) - 20} more"] if len(broken) > 20 else []
            raise DataError("\n".join([*broken[:20], *more, "Nothing was packed."]))
        self._write_index(dataset)

    def _add(self, shard: BinaryIO, dataset: Packable, index: int) -> None:
        data, path = dataset.file_bytes(index), dataset.paths[index]
        name = str(dataset.image_root / path)
        decode_image(data, name=name)
        kind = image_format(data)
        facts: dict[str, Any] = {"path": path, "label": dataset.labels[index]}
        if dataset.cameras is not None:
            facts["camera"] = dataset.cameras[index]
        offset = _add_member(shard, member_name(index, _SUFFIXES.get(kind, kind.lower())), data)
        _add_member(shard, member_name(index, "json"), json.dumps(facts).encode())
        place = (len(self.shard_sizes), offset, len(data), zlib.crc32(data))
        for column, value in zip(self.columns.values(), place, strict=True):
            column.append(value)

    def _write_index(self, dataset: Packable) -> None:
        paths = Texts(dataset.paths)
        arrays = {
            **{name: np.asarray(column) for name, column in self.columns.items()},
            "format": np.int64(FORMAT),
            "image_root": np.array(str(dataset.image_root.resolve())),
            "shard_sizes": np.array(self.shard_sizes, np.int64),
            "labels": np.asarray(dataset.labels, np.int64),
            "cameras": np.asarray([] if dataset.cameras is None else dataset.cameras, np.int64),
            "paths": paths.data.numpy(),
            "path_ends": paths.ends.numpy(),
            **{name: np.array(names, np.str_) for name, names in _names(dataset).items() if names},
        }
        with synced(self.folder / INDEX) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]


def _names(dataset: Packable) -> dict[str, list[str]]:
    """Return the names of classes and cameras; no names where these are numbers of a list."""
    parts = getattr(dataset, "datasets", [dataset])
    images = getattr(parts[0], "images", None)  # the parts of a mixed data set share their names
    return {
        name: list(getattr(images, name, None) or ()) for name in ("class_names", "camera_names")
    }


def _add_member(shard: BinaryIO, name: str, data: bytes) -> int:
    """Append a member; return where its data begins."""
    about = tarfile.TarInfo(name)
    about.size, about.mode = len(data), 0o644
    shard.write(about.tobuf(tarfile.USTAR_FORMAT))
    start = shard.tell()
    shard.write(data)
    shard.write(bytes(-len(data) % tarfile.BLOCKSIZE))
    return start
