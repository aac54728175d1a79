"""Reading an exported model's weights: ``inference.pdiparams`` with the program beside it.

The weight file is tensors one after the other, without names. Their names stand in the program
(``inference.json``, or ``inference.pdmodel`` before release 3) and are sorted like the tensors.
They are the running numbers of layers (``conv2d_0.w_0``), not places in a model.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.errors import CheckpointError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

# numbers of the format's data types
_TYPES = {0: "?", 1: "<i2", 2: "<i4", 3: "<i8", 4: "<f2", 5: "<f4", 6: "<f8", 20: "u1", 21: "i1",
          22: "<u2"}  # fmt: skip
_MAX_PROGRAM = 20_000_000
_MAX_DEPTH = 64
# numpy's own limit; the product of a long list of large numbers takes for ever
_MOST_SIDES = 64


def read_exported(path: str | Path) -> dict[str, Array]:
    """Return the tensors of an exported model by their names in its program.

    Args:
        path: ``inference.pdiparams``; ``inference.json`` or ``inference.pdmodel`` stands beside it.

    Raises:
        CheckpointError: If a file is missing or damaged, or the two do not fit each other.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise CheckpointError(f"{path}: not a regular file.")
    try:
        names = sorted(_program_names(path))
        tensors = list(_tensors(_Bytes(path.read_bytes())))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}).") from error
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file fails in every way
        raise CheckpointError(
            f"{path}: not an exported model of the reference, or damaged ({type(error).__name__}: "
            f"{str(error)[:120]})."
        ) from error
    if len(names) != len(tensors):
        raise CheckpointError(
            f"{path}: holds {len(tensors)} tensors, the program beside it names {len(names)}; they "
            "are of different exports."
        )
    return dict(zip(names, tensors, strict=True))


@dataclass
class _Bytes:
    """A place in a file's content; reading past its end is an error."""

    content: bytes
    at: int = 0

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.content):
            raise ValueError(f"ends within {size} bytes that should be at {self.at}")
        self.at += size
        return self.content[self.at - size : self.at]

    def number(self, form: str) -> int:
        (value,) = struct.unpack(form, self.take(struct.calcsize(form)))
        return int(value)

    @property
    def done(self) -> bool:
        return self.at >= len(self.content)


def _tensors(file: _Bytes) -> Iterator[Array]:
    while not file.done:
        yield _tensor(file)


def _tensor(file: _Bytes) -> Array:
    import numpy as np

    if file.number("<I") != 0:
        raise ValueError("unknown version of a tensor")
    for _ in range(file.number("<Q")):  # levels of a sequence; weights have none
        file.take(file.number("<Q"))
    if file.number("<I") != 0:
        raise ValueError("unknown version of a tensor")
    kind, sizes = 0, []
    for field, value in _fields(_Bytes(file.take(file.number("<i")))):
        if field == 1:
            kind = int(value)
        elif field == 2:
            sizes += [value] if isinstance(value, int) else _packed(value)
    if kind not in _TYPES:
        raise ValueError(f"a tensor of the unknown type {kind}")
    dtype = np.dtype(_TYPES[kind])
    if len(sizes) > _MOST_SIDES or min(sizes, default=1) < 0:
        raise ValueError(f"a tensor of shape {sizes[:_MOST_SIDES]}")
    data = file.take(math.prod(sizes) * dtype.itemsize)
    array = np.frombuffer(data, dtype=dtype).reshape(sizes)
    return bfloat16_to_float32(array) if kind == 22 else array


def bfloat16_to_float32(bits: Array) -> Array:
    """Return the numbers that 16-bit patterns mean.

    Example:
        >>> import numpy as np
        >>> bfloat16_to_float32(np.array([0x3F80, 0xC000], dtype=np.uint16)).tolist()
        [1.0, -2.0]
    """
    import numpy as np

    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def _program_names(path: Path) -> set[str]:
    """Return the names of the weights that the program beside a weight file has."""
    for program, names in ((path.with_suffix(".json"), _from_json),
                           (path.with_suffix(".pdmodel"), _from_protobuf)):  # fmt: skip
        if program.is_file():
            if program.stat().st_size > _MAX_PROGRAM:
                raise CheckpointError(f"{program}: larger than a program is.")
            return names(program.read_bytes())
    raise CheckpointError(
        f"{path}: the program that names its tensors is missing; put {path.stem}.json or "
        f"{path.stem}.pdmodel beside it."
    )


def _from_json(content: bytes) -> set[str]:
    names: set[str] = set()

    def walk(value: Any, depth: int = 0) -> None:
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deep")
        if isinstance(value, dict):
            # a parameter: its attributes end with its name
            if value.get("#") == "p" and isinstance(value.get("A"), list):
                names.update(item for item in value["A"] if isinstance(item, str))
            for item in value.values():
                walk(item, depth + 1)
        elif isinstance(value, list):
            for item in value:
                walk(item, depth + 1)

    walk(json.loads(content))
    return names


def _from_protobuf(content: bytes) -> set[str]:
    """Read the names of the stored variables: program > block (1) > variable (3)."""
    names = set()
    for field, block in _fields(_Bytes(content)):
        if field != 1 or isinstance(block, int):
            continue
        for inner, variable in _fields(_Bytes(block)):
            if inner == 3 and isinstance(variable, bytes):
                about = dict(_fields(_Bytes(variable)))
                name = about.get(1, b"")
                if about.get(3) == 1 and isinstance(name, bytes) and name not in _NO_WEIGHTS:
                    names.add(name.decode())
    return names


_NO_WEIGHTS = (b"feed", b"fetch")


def _fields(message: _Bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a protocol buffer: number and content."""
    while not message.done:
        key = _varint(message)
        wire = key & 7
        if wire == 0:
            yield key >> 3, _signed(_varint(message))
        elif wire == 2:
            yield key >> 3, message.take(_varint(message))
        elif wire in (1, 5):
            yield key >> 3, message.take(8 if wire == 1 else 4)
        else:
            raise ValueError(f"a field of the unknown kind {wire}")


def _packed(content: bytes) -> list[int]:
    message, values = _Bytes(content), []
    while not message.done:
        values.append(_signed(_varint(message)))
    return values


def _varint(message: _Bytes) -> int:
    value = 0
    for shift in range(0, 70, 7):
        (byte,) = message.take(1)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
    raise ValueError("a number without an end")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
