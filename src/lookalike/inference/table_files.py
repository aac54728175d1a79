"""Embedding tables in files: read lazily where the format allows, so a table may exceed memory."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lookalike.archives import open_regular, read_npz
from lookalike.embedding_table import NAMES, TABLE_PARTS, reading_table, table_of
from lookalike.errors import DataError
from lookalike.inference.parquet_tables import read_parquet
from lookalike.types import EmbeddingTable

SUFFIXES = (".npz", ".safetensors", ".parquet")
_SAFETENSORS_TYPES = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "I64": "<i8", "I32": "<i4",
                      "I16": "<i2", "I8": "i1", "U8": "u1", "U16": "<u2", "U32": "<u4",
                      "U64": "<u8", "BOOL": "?"}  # fmt: skip
_LARGEST_HEADER = 100_000_000
_MOST_SIDES = 8


def load_table(path: str | Path) -> EmbeddingTable:
    """Read a table: ``embeddings [N, D]``, ``labels [N]``, ``ids [N]``, optional ``cameras [N]``.

    Uncompressed ``.npz`` and ``.safetensors`` files are mapped: rows are read when they are used.
    A ``.parquet`` file has these as columns, ``embeddings`` a list of numbers; it is read at once.
    Missing ids are the numbers of the rows. Other arrays and columns are ignored.

    Raises:
        DataError: If the file is missing or damaged, or its arrays do not fit each other.
    """
    path = Path(path)
    with reading_table(path):
        return table_of(_read(path))


def _read(path: Path) -> Mapping[str, Any]:
    if path.suffix == ".npz":
        return read_npz(path, TABLE_PARTS)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix == ".parquet":
        # a column has one value for each row; names of classes would be misread
        return read_parquet(path, set(TABLE_PARTS) - set(NAMES))
    raise DataError(f"tables are {', '.join(SUFFIXES)} files; got '{path.suffix}'.")


def _read_safetensors(path: Path) -> dict[str, Any]:
    """Map the tensors; texts (ids, fingerprint) stand in the file's metadata as JSON."""
    with open_regular(path) as file:
        whole = os.fstat(file.fileno()).st_size
        size = int.from_bytes(file.read(8), "little")
        if not 0 < size <= min(_LARGEST_HEADER, whole - 8):
            raise DataError(f"damaged; its header cannot be {size} bytes long.")
        header = json.loads(file.read(size))
        texts = header.pop("__metadata__", {})
        arrays: dict[str, Any] = dict.fromkeys(header)
        for name in header.keys() & set(TABLE_PARTS):
            arrays[name] = _mapped(file, name, header[name], 8 + size, whole)
    for name in ("ids", *NAMES):
        if name in texts:
            arrays[name] = json.loads(texts[name])
    return {**arrays, "fingerprint": texts.get("fingerprint", "")}


def _mapped(
    file: BinaryIO, name: str, about: Mapping[str, Any], first: int, whole: int
) -> NDArray[Any]:
    """Map a tensor of a ``.safetensors`` file whose data begin at byte ``first``."""
    start, stop = about["data_offsets"]
    if about["dtype"] not in _SAFETENSORS_TYPES:
        known = ", ".join(_SAFETENSORS_TYPES)
        raise DataError(f"'{name}' is stored as {about['dtype']}; tables have {known}.")
    dtype = np.dtype(_SAFETENSORS_TYPES[about["dtype"]])
    shape = tuple(int(side) for side in about["shape"][:_MOST_SIDES])
    if min(shape, default=0) < 0 or not 0 <= start <= stop <= whole - first:
        raise DataError(f"damaged; '{name}' is outside the file.")
    if math.prod(shape) * dtype.itemsize != stop - start:
        raise DataError(f"'{name}' is {stop - start} bytes for a shape of {shape}.")
    if 0 in shape:
        return np.zeros(shape, dtype)
    place: Any = (dtype, "c", first + start, shape)
    return np.memmap(file, *place)


def save_table(table: EmbeddingTable, path: str | Path) -> None:
    """Write a table as ``.npz`` or ``.safetensors``, by the name's suffix.

    Raises:
        DataError: For another suffix.
    """
    path = Path(path)
    if path.suffix == ".npz":
        table.save(path)
    elif path.suffix == ".safetensors":
        from safetensors.torch import save_file

        tensors = {"embeddings": table.embeddings, "labels": table.labels}
        if table.cameras is not None:
            tensors["cameras"] = table.cameras
        if table.images is not None:
            tensors["images"] = table.images
        tensors = {name: values.contiguous() for name, values in tensors.items()}
        texts = {"ids": json.dumps(table.ids), "fingerprint": table.fingerprint}
        for name in NAMES:
            if (names := getattr(table, name)) is not None:
                texts[name] = json.dumps(list(names))
        save_file(tensors, path, metadata=texts)
    else:
        raise DataError(f"{path}: tables are written as .npz or .safetensors.")
