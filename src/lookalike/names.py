"""What a column of labels or cameras means: whole numbers, names, junk."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

JUNK = -1
"""The label of images that belong to no class: they are left out wherever labels are read."""

_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|nan|[-+]?inf", re.I)
_LONG_NUMBER = re.compile(r"[-+]?[0-9]+")


def is_whole(text: str) -> bool:
    """Return whether a text is a whole number that fits a tensor.

    Example:
        >>> is_whole("-1"), is_whole("1.0"), is_whole("9" * 20)
        (True, False, False)
    """
    return _WHOLE.fullmatch(text) is not None


def is_junk(written: Any) -> bool:
    """Return whether a label marks an image that belongs to no class.

    Example:
        >>> is_junk(-1), is_junk("-1"), is_junk("0"), is_junk("cat")
        (True, True, False, False)
    """
    return not isinstance(written, bool) and str(written).strip() == str(JUNK)


def numbered(
    written: Sequence[Any],
    lines: Sequence[int],
    what: str,
    report: Callable[[int, str], None],
) -> tuple[list[int], list[str] | None]:
    """Turn a column of labels or cameras into numbers.

    Whole numbers of at most 18 digits stay what they are. If any value is a name, all of them are
    names, numbered in sorted order. Other numbers, such as ``1.0``, are reported: they are whole
    numbers that another program has written as floats, and as names they would match nothing.

    Args:
        written: N values, as read.
        lines: N lines they stand in.
        what: ``label`` or ``camera``, for messages.
        report: Called with line and message for each value that is refused.

    Returns:
        N numbers, and the name of each number, or None where the numbers are the column's own.

    Example:
        >>> numbered(["7", 3], [1, 2], "label", print)
        ([7, 3], None)
        >>> numbered(["yak", "ant", "yak"], [1, 2, 3], "label", print)
        ([1, 0, 1], ['ant', 'yak'])
    """
    texts = [str(value) for value in written]
    if all(map(is_whole, texts)):
        numbers = [int(text) for text in texts]
        for number, line in zip(numbers, lines, strict=True):
            if number < 0 and what == "label":
                report(line, f"labels start at 0 ({JUNK} marks junk), got {number}.")
        return numbers, None
    numeric = all(_NUMBER.fullmatch(text) for text in texts)
    for value, text, line in zip(written, texts, lines, strict=True):
        if isinstance(value, float) or (numeric and not _LONG_NUMBER.fullmatch(text)):
            report(line, f"the {what} must be a whole number or a name, got {value!r}.")
    names = sorted(set(texts))
    number_of = {name: number for number, name in enumerate(names)}
    return [number_of[text] for text in texts], names


Column = tuple[Sequence[int] | NDArray[np.int64], Sequence[str] | None]


def share_names(
    columns: Sequence[Column], known: Sequence[str] | None = None
) -> tuple[list[NDArray[np.int64]], list[str] | None]:
    """Number the names of several columns once, so that equal names are equal numbers.

    A column without names has its numbers as names, unless no column has names. Names that are
    all whole numbers, such as ``007`` and ``12``, are compared as numbers.

    Args:
        columns: Numbers ``[N]`` of each column and the name of each number, or None.
        known: Names of the numbers ``0 .. C - 1``, which stay so.

    Returns:
        The numbers of each column, and the name of each number; no names if no column has any.

    Example:
        >>> numbers, names = share_names([([0], ["yak"]), ([0, 1], ["ant", "yak"])])
        >>> [own.tolist() for own in numbers], names
        ([[0], [1, 0]], ['yak', 'ant'])
    """
    if known is None and all(names is None for _, names in columns):
        return [np.asarray(values, dtype=np.int64) for values, _ in columns], None
    used = [np.unique(np.asarray(values, dtype=np.int64)) for values, _ in columns]
    written = [
        [str(number) if names is None else names[number] for number in own.tolist()]
        for own, (_, names) in zip(used, columns, strict=True)
    ]
    as_numbers = _mean_numbers([*written, *([] if known is None else [known])])
    number_of: dict[str, int] = {}
    names: list[str] = []

    def number(name: str) -> int:
        key = str(int(name)) if as_numbers else name
        if key not in number_of:
            number_of[key] = len(names)
            names.append(name)
        return number_of[key]

    # classes without an image keep their places: an output of the head belongs to each
    for name in known if known is not None else columns[0][1] or ():
        number(name)
    found = []
    for (values, _), own, texts in zip(columns, used, written, strict=True):
        new = np.array([number(text) for text in texts], dtype=np.int64)
        found.append(new[np.searchsorted(own, np.asarray(values, dtype=np.int64))])
    return found, names


def _mean_numbers(columns: Iterable[Sequence[str]]) -> bool:
    """Return whether all names are whole numbers, and none of a column mean the same number."""
    for names in columns:
        if not all(map(is_whole, names)) or len({int(name) for name in names}) < len(names):
            return False
    return True
