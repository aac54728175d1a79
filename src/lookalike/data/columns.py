"""Columns of a long list that worker processes share instead of copying.

A Python list of a million texts is a million objects: a forked worker copies their pages as it
counts references, a spawned one is sent all of them. A column is one or two tensors. A forked
worker never writes to them, and a spawned one is sent the name of their shared memory, to which
torch moves a tensor when a process is first given it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_CHUNK = 4096
# what a file system calls a file need not be text: a name of its own bytes keeps them
_ERRORS = "surrogatepass"


class Integers(Sequence[int]):
    """Whole numbers of 64 bits, read like a list.

    Args:
        values: The numbers; an ``array.array`` of ``q`` becomes the column's own memory.

    Raises:
        OverflowError: If a number does not fit.

    Example:
        >>> labels = Integers([7, 3, 7])
        >>> labels[-1], labels[:2], labels == [7, 3, 7]
        (7, Integers([7, 3]), True)
    """

    def __init__(self, values: Iterable[int] = ()) -> None:
        if isinstance(values, Integers):
            self.values: Tensor = values.values
        elif isinstance(values, np.ndarray):
            self.values = torch.from_numpy(values.astype(np.int64))
        else:
            grown = values if isinstance(values, array) else array("q", values)
            self.values = _tensor(grown, torch.int64)

    @classmethod
    def joined(cls, parts: Iterable[Sequence[int]]) -> Integers:
        """Return the numbers of several sequences one after the other."""
        return cls(np.concatenate([np.asarray(part, dtype=np.int64) for part in parts]))

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Integers: ...
    def __getitem__(self, index: int | slice) -> int | Integers:
        if isinstance(index, slice):
            return Integers(self.values.numpy()[index])
        # the view is made anew: sharing a tensor moves its memory
        return int(self.values.numpy()[index])

    def __iter__(self) -> Iterator[int]:
        for start in range(0, len(self), _CHUNK):
            yield from self.values[start : start + _CHUNK].tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        # a copy, whatever is asked: sharing a tensor moves its memory, a view would dangle
        return np.array(self.values.numpy(), dtype=dtype)

    def __eq__(self, other: object) -> Any:
        return _same(self, other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Integers({_shown(self)})"


class GrowingTexts:
    """Texts of a column that is still read; it becomes the memory of a :class:`Texts`."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self.data, self.ends = bytearray(), array("q")
        for value in values:
            self.append(value)

    def append(self, value: str) -> None:
        """Add a text."""
        self.data += value.encode("utf-8", _ERRORS)
        self.ends.append(len(self.data))


class Texts(Sequence[str]):
    """Texts, read like a list and held as one run of UTF-8 bytes.

    Args:
        values: The texts.

    Example:
        >>> paths = Texts(["a/1.jpg", "中.jpg"])
        >>> paths[1], len(paths), list(paths[:1])
        ('中.jpg', 2, ['a/1.jpg'])
    """

    def __init__(self, values: Iterable[str] | GrowingTexts = ()) -> None:
        if isinstance(values, Texts):
            self.data: Tensor = values.data
            self.ends: Tensor = values.ends
            return
        growing = values if isinstance(values, GrowingTexts) else GrowingTexts(values)
        self.data = _tensor(growing.data, torch.uint8)
        self.ends = _tensor(growing.ends, torch.int64)

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Texts: ...
    def __getitem__(self, index: int | slice) -> str | Texts:
        place = range(len(self))[index]
        if isinstance(place, range):
            return Texts(self[i] for i in place)
        ends = self.ends.numpy()
        start = ends[place - 1] if place else 0
        data: bytes = self.data.numpy()[start : ends[place]].tobytes()
        return data.decode("utf-8", _ERRORS)

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), _CHUNK):
            ends = self.ends[first : first + _CHUNK].tolist()
            base = int(self.ends[first - 1]) if first else 0
            data = self.data.numpy()[base : ends[-1]].tobytes()
            start = 0
            for end in ends:
                yield data[start : end - base].decode("utf-8", _ERRORS)
                start = end - base

    def __eq__(self, other: object) -> Any:
        return _same(self, other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Texts({_shown(self)})"


def _tensor(values: Any, kind: torch.dtype) -> Tensor:
    """Return the numbers as a tensor over the same memory; torch refuses to see no memory."""
    return torch.frombuffer(values, dtype=kind) if len(values) else torch.empty(0, dtype=kind)


def _same(one: Sequence[Any], other: object) -> Any:
    if not isinstance(other, Sequence) or isinstance(other, str | bytes):
        return NotImplemented
    return len(one) == len(other) and all(a == b for a, b in zip(one, other, strict=True))


def _shown(values: Sequence[Any]) -> str:
    few = ", ".join(map(repr, values[:10]))
    return f"[{few}]" if len(values) <= 10 else f"[{few}, ...], {len(values):,} in all"
