"""The parts of an embedding table, checked and brought into one form.

The class, the readers of files and the functions that take plain tensors all read their arguments
here, so the same mistake gives the same message everywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lookalike.errors import DataError, cut


def read_embeddings(values: Any, what: str = "embeddings") -> Tensor:
    """Return embeddings ``[N, D]`` of a real type, without a gradient; they share their memory.

    Args:
        values: A tensor, an array, or rows of numbers. Type and device stay as they are.
        what: The part's name, for messages.

    Raises:
        DataError: If it is no matrix of real numbers with at least one column.

    Example:
        >>> read_embeddings([[1.0, 2.0]]).shape
        torch.Size([1, 2])
        >>> read_embeddings(torch.zeros(3))
        Traceback (most recent call last):
            ...
        lookalike.errors.DataError: embeddings: [N, D], at least one column, expected, got [3].
    """
    tensor = _tensor(values, what)
    if tensor.dtype.is_complex:
        raise DataError(f"{what}: real numbers expected, got {_named(tensor)}.")
    if tensor.ndim != 2 or tensor.shape[1] == 0:
        shape = list(tensor.shape)
        raise DataError(f"{what}: [N, D], at least one column, expected, got {shape}.")
    return tensor


def read_integers(values: Any, number: int, what: str) -> Tensor:
    """Return whole numbers ``[number]`` int64 on the CPU.

    Numbers with a fraction would be cut, so floating types are refused, and so are truth values.

    Args:
        values: A tensor, an array or a list; ``[number, 1]`` is taken for ``[number]``.
        number: How many there must be.
        what: The part's name, for messages.

    Raises:
        DataError: If they are of another type or number, or do not fit into 64 bits.

    Example:
        >>> read_integers([3, 5], 2, "labels")
        tensor([3, 5])
        >>> read_integers(torch.tensor([0.1, 0.9]), 2, "cameras")
        Traceback (most recent call last):
            ...
        lookalike.errors.DataError: cameras: whole numbers expected, got float32.
    """
    if not isinstance(values, (Tensor, np.ndarray)) and isinstance(values, Iterable):
        # an empty list would be float32, and one with a large number float64
        listed = list(values)
        values = listed if listed else np.zeros(0, dtype=np.int64)
    if not isinstance(values, Tensor):
        values = _whole(values, what)
    tensor = _tensor(values, what)
    if tensor.dtype.is_floating_point or tensor.dtype.is_complex or tensor.dtype == torch.bool:
        raise DataError(f"{what}: whole numbers expected, got {_named(tensor)}.")
    if tuple(tensor.shape) not in ((number,), (number, 1)):
        raise DataError(f"{what}: {number:,} expected, one for each row, got {list(tensor.shape)}.")
    return tensor.reshape(-1).cpu().long()


def read_names(values: Any, number: int, what: str = "ids") -> list[str]:
    r"""Return a name for each row.

    Args:
        values: Texts, whole numbers, or UTF-8 bytes.
        number: How many there must be.
        what: The part's name, for messages.

    Raises:
        DataError: If they are of another type or number, or one holds a NUL character, which
            files of arrays cut off.

    Example:
        >>> read_names(["a.jpg", 7], 2)
        ['a.jpg', '7']
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise DataError(f"{what}: a list of texts expected, got {cut(values, 60)}.")
    if isinstance(values, np.ndarray) and values.ndim != 1:
        raise DataError(f"{what}: one for each row expected, got {list(values.shape)}.")
    names = values.tolist() if isinstance(values, np.ndarray) else values
    if not isinstance(names, list) or not _plain(names):
        names = [_name(value, row, what) for row, value in enumerate(names)]
    if len(names) != number:
        raise DataError(f"{what}: {number:,} expected, one for each row, got {len(names):,}.")
    return names


def check_count(value: Any, what: str, least: int = 1) -> None:
    """Refuse what is no whole number of at least ``least``; True is none.

    Raises:
        ValueError: Names the argument.

    Example:
        >>> check_count(0, "k")
        Traceback (most recent call last):
            ...
        ValueError: k must be a whole number of at least 1, got 0.
    """
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < least:
        raise ValueError(
            f"{what} must be a whole number of at least {least}, got {cut(value, 60)}."
        )


def repeated(names: Iterable[str]) -> dict[str, int]:
    """Return the names that occur more than once, with how often.

    Example:
        >>> repeated(["a", "b", "a"])
        {'a': 2}
    """
    return {name: times for name, times in Counter(names).items() if times > 1}


def _plain(names: list[Any]) -> bool:
    """Tell whether nothing needs to be looked at one by one, which takes long for a million."""
    return set(map(type, names)) <= {str} and "\0" not in "".join(names)


def _name(value: Any, row: int, what: str) -> str:
    if isinstance(value, Tensor) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{what}: row {row} is not UTF-8, {cut(value, 60)}.") from None
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise DataError(f"{what}: row {row} is no text, {cut(value, 60)}.")
    if "\0" in value:
        raise DataError(f"{what}: row {row} holds a NUL character, {cut(value, 60)}.")
    return str(value)


def _whole(values: Any, what: str) -> Any:
    """Refuse whole numbers beyond 64 bits, which an array would turn into floating ones."""
    if isinstance(values, list) and all(type(value) is int for value in values):
        largest = max(values, key=abs)
    elif isinstance(values, np.ndarray) and values.dtype == np.uint64 and values.size:
        largest = int(values.max())
        values = values.astype(np.int64)
    else:
        return values
    if not -(2**63) <= largest < 2**63:
        raise DataError(f"{what}: {largest} does not fit into 64 bits.")
    return values


def _tensor(values: Any, what: str) -> Tensor:
    """Return a tensor that shares the memory of an array, mapped or not."""
    if isinstance(values, Tensor):
        if values.layout != torch.strided or values.is_quantized or values.device.type == "meta":
            raise DataError(f"{what}: a plain tensor expected, got {_named(values)}.")
        return values.detach()
    try:
        array = np.asanyarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{what}: no array of numbers ({error}).") from error
    if array.dtype.kind not in "biufc":
        raise DataError(f"{what}: numbers expected, got {_kind(array, values)}.")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype in (np.uint16, np.uint32, np.uint64):  # torch computes with few of these
        array = array.astype({2: np.int32, 4: np.int64, 8: np.float64}[array.dtype.itemsize])
    if min(array.strides, default=0) < 0 or not array.flags.writeable:
        array = array.copy()
    try:
        return torch.from_numpy(array)
    except TypeError:
        raise DataError(f"{what}: {array.dtype} is no type that can be computed with.") from None


def _named(tensor: Tensor) -> str:
    plain = str(tensor.dtype).removeprefix("torch.")
    layout = "" if tensor.layout == torch.strided else f" in a {tensor.layout} layout"
    meta = " without data (meta)" if tensor.device.type == "meta" else ""
    return f"{plain}{layout}{meta}"


def _kind(array: np.ndarray[Any, Any], values: Any) -> str:
    if array.dtype.kind in "USO":
        return f"{cut(array.reshape(-1)[:3].tolist(), 60)}"
    return str(array.dtype)
