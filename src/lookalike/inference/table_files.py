"""Embedding tables in files: read lazily where the format allows, so a table may exceed memory."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lookalike.archives import check_rows, read_npz
from lookalike.errors import DataError, SetupError
from lookalike.types import EmbeddingTable

SUFFIXES = (".npz", ".safetensors", ".parquet")
_SAFETENSORS_TYPES = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "I64": "<i8", "I32": "<i4",
                      "I8": "i1", "U8": "u1"}  # fmt: skip
_LARGEST_HEADER = 100_000_000
_MOST_SIDES = 8


def load_table(path: str | Path) -> EmbeddingTable:
    """Read a table: ``embeddings [N, D]``, ``labels [N]``, ``ids [N]``, optional ``cameras [N]``.

    Uncompressed ``.npz`` and ``.safetensors`` files are mapped: rows are read when they are used.
    A ``.parquet`` file has these as columns, ``embeddings`` a list of numbers; it is read at once.
    Missing ids are the numbers of the rows.

    Raises:
        DataError: If the file is missing or damaged, or its arrays do not fit each other.
    """
    path = Path(path)
    try:
        arrays = _read(path)
    except (DataError, SetupError):
        raise
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except Exception as error:  # noqa: BLE001 - a damaged file fails in every way
        raise DataError(
            f"{path}: no embedding table, or damaged ({type(error).__name__}: {str(error)[:120]})."
        ) from error
    try:
        return _table(path, arrays)
    except TypeError as error:
        raise DataError(f"{path}: {error}") from error


def _read(path: Path) -> Mapping[str, Any]:
    if path.suffix == ".npz":
        return read_npz(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix == ".parquet":
        return _read_parquet(path)
    raise DataError(f"{path}: tables are {', '.join(SUFFIXES)} files; got '{path.suffix}'.")


def _table(path: Path, arrays: Mapping[str, Any]) -> EmbeddingTable:
    for name in ("embeddings", "labels"):
        if name not in arrays:
            raise DataError(f"{path}: has no '{name}'; it has {', '.join(arrays) or 'nothing'}.")
    embeddings, labels = _numbers(arrays["embeddings"]), _numbers(arrays["labels"]).reshape(-1)
    if embeddings.ndim != 2 or not len(embeddings) or labels.is_floating_point():
        raise DataError(
            f"{path}: embeddings [N, D] and whole labels [N] expected, got "
            f"{list(embeddings.shape)} and {labels.dtype} {list(labels.shape)}."
        )
    ids = [str(name) for name in arrays.get("ids", range(len(labels)))]
    cameras = arrays.get("cameras")
    table = EmbeddingTable(
        embeddings=embeddings,
        labels=labels.long(),
        ids=ids,
        cameras=None if cameras is None else _numbers(cameras).reshape(-1).long(),
        fingerprint=str(arrays.get("fingerprint", "")),
    )
    lengths = {"embeddings": len(embeddings), "labels": len(labels), "ids": len(ids)}
    if table.cameras is not None:
        lengths["cameras"] = len(table.cameras)
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{length:,} {name}" for name, length in lengths.items())
        raise DataError(f"{path}: {shown}; one of each per image expected.")
    return table


def _numbers(array: Any) -> Tensor:
    """Return a tensor that shares the memory of an array, mapped or not."""
    if isinstance(array, Tensor):
        return array
    values = np.asanyarray(array)
    if values.dtype.kind not in "biuf":
        raise TypeError(f"numbers expected, got {values.dtype}.")
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    return torch.from_numpy(values)


def _read_safetensors(path: Path) -> dict[str, Any]:
    """Map the tensors; texts (ids, fingerprint) stand in the file's metadata as JSON."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if not 0 < size <= min(_LARGEST_HEADER, path.stat().st_size - 8):
            raise DataError(f"{path}: damaged; its header cannot be {size} bytes long.")
        header = json.loads(file.read(size))
    texts = header.pop("__metadata__", {})
    arrays: dict[str, Any] = {}
    for name, about in header.items():
        start, stop = about["data_offsets"]
        dtype = np.dtype(_SAFETENSORS_TYPES[about["dtype"]])
        shape = tuple(int(side) for side in about["shape"][:_MOST_SIDES])
        if min(shape, default=0) < 0 or not 0 <= start <= stop <= path.stat().st_size - 8 - size:
            raise DataError(f"{path}: damaged; '{name}' is outside the file.")
        if math.prod(shape) * dtype.itemsize != stop - start:
            raise DataError(f"{path}: '{name}' is {stop - start} bytes for a shape of {shape}.")
        arrays[name] = np.memmap(path, dtype, "c", 8 + size + start, shape)
    if "ids" in texts:
        arrays["ids"] = json.loads(texts["ids"])
    return {**arrays, "fingerprint": texts.get("fingerprint", "")}


def _read_parquet(path: Path) -> dict[str, Any]:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise SetupError(
            f"{path}: reading .parquet needs the package pyarrow: python -m pip install pyarrow"
        ) from error
    check_rows(parquet.read_metadata(path).num_rows, path)
    content = parquet.read_table(path)
    arrays: dict[str, Any] = {}
    for name in content.column_names:
        column = content.column(name).combine_chunks()
        if name == "embeddings":
            flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
            arrays[name] = flat.reshape(len(column), -1)
        else:
            arrays[name] = column.to_pylist() if name == "ids" else np.asarray(column.to_pylist())
    return arrays


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

        tensors = {"embeddings": table.embeddings.contiguous(), "labels": table.labels}
        if table.cameras is not None:
            tensors["cameras"] = table.cameras
        texts = {"ids": json.dumps(table.ids), "fingerprint": table.fingerprint}
        save_file(tensors, path, metadata=texts)
    else:
        raise DataError(f"{path}: tables are written as .npz or .safetensors.")
