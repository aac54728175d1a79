"""Embedding tables in Parquet: lists that are all there and equally long, or an error."""

from __future__ import annotations

from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.archives import check_rows, open_regular
from lookalike.errors import DataError, SetupError


def read_parquet(path: Path, names: Container[str]) -> dict[str, Any]:
    """Read columns of a ``.parquet`` file; those not in ``names`` are None, unread.

    ``embeddings`` is a column of lists of any Arrow type, as float32 where that loses nothing.

    Raises:
        DataError: If a row is null, or a list is not as long as the first or holds a null; names
            the first such row, from 0.
        SetupError: If pyarrow is missing.
    """
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise SetupError(
            f"{path}: reading .parquet needs the package pyarrow: python -m pip install pyarrow"
        ) from error
    with open_regular(path) as opened, parquet.ParquetFile(opened) as file:
        check_rows(file.metadata.num_rows, path)
        arrays: dict[str, Any] = dict.fromkeys(file.schema_arrow.names)
        for name in arrays:
            if name not in names:
                continue
            column = file.read(columns=[name]).column(name)
            if name == "embeddings":
                arrays[name] = _matrix(name, column)
            elif name == "fingerprint":
                arrays[name] = _same_in_all(name, column)
            else:
                arrays[name] = _values(name, column)
    return arrays


def _matrix(name: str, column: Any) -> NDArray[Any]:
    """Return a column of lists as ``[N, D]``."""
    import pyarrow.compute as compute
    from pyarrow import types

    parts, width = [], None
    for first, chunk in _chunks(name, column):
        kind = chunk.type
        fixed = types.is_fixed_size_list(kind)
        if not (fixed or types.is_list(kind) or types.is_large_list(kind) or _is_view(kind)):
            raise DataError(f"'{name}' is a column of {kind}; lists of numbers are expected.")
        if not (types.is_integer(kind.value_type) or types.is_floating(kind.value_type)):
            raise DataError(f"'{name}' has lists of {kind.value_type}; numbers are expected.")
        sizes = compute.list_value_length(chunk).to_numpy(zero_copy_only=False)
        width = int(sizes[0]) if width is None else width
        if (sizes != width).any():
            row = int((sizes != width).argmax())
            raise DataError(
                f"'{name}' has {sizes[row]} numbers in row {first + row} and {width} in row 0; "
                "all rows must be equally long."
            )
        flat = compute.list_flatten(chunk)
        if flat.null_count:
            missing = flat.is_null().to_numpy(zero_copy_only=False)
            row = first + int(missing.argmax()) // max(width, 1)
            raise DataError(f"'{name}' has a null among the numbers of row {row}.")
        parts.append(flat.to_numpy(zero_copy_only=False).reshape(len(chunk), width))
    if not parts:
        raise DataError(f"'{name}' has no rows.")
    return _narrowed(np.concatenate(parts))


def _is_view(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_list_view(kind) or types.is_large_list_view(kind))


def _narrowed(matrix: NDArray[Any]) -> NDArray[Any]:
    """Return float32 where nothing is lost: most writers turn all numbers into float64."""
    if matrix.dtype != np.float64:
        return matrix
    with np.errstate(over="ignore"):
        narrow = matrix.astype(np.float32)
    return narrow if np.array_equal(narrow, matrix, equal_nan=True) else matrix


def _values(name: str, column: Any) -> Any:
    """Return a column of single values, as an array of numbers or a list of texts."""
    from pyarrow import types

    parts: list[Any] = []
    for _, chunk in _chunks(name, column):
        if types.is_integer(chunk.type) or types.is_floating(chunk.type):
            parts.append(chunk.to_numpy(zero_copy_only=False))
        else:
            parts.append(chunk.to_pylist())
    if parts and all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    return [value for part in parts for value in part]


def _same_in_all(name: str, column: Any) -> str:
    values = {str(value) for value in column.to_pylist()}
    if len(values) != 1:
        raise DataError(f"'{name}' has {len(values)} values; all rows of a table are of one model.")
    return values.pop()


def _chunks(name: str, column: Any) -> Iterator[tuple[int, Any]]:
    """Yield the number of the first row of each piece of a column, and its plain array.

    Raises:
        DataError: If a row is null.
    """
    import pyarrow

    first = 0
    for piece in column.chunks:
        chunk = piece
        while isinstance(chunk, pyarrow.ExtensionArray):
            chunk = chunk.storage
        if isinstance(chunk, pyarrow.DictionaryArray):
            chunk = chunk.dictionary_decode()
        if chunk.null_count:
            row = first + int(chunk.is_null().to_numpy(zero_copy_only=False).argmax())
            raise DataError(f"'{name}' is null in row {row}.")
        if len(chunk):
            yield first, chunk
        first += len(chunk)
