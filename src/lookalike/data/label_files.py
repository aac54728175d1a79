"""Text files that list images with their labels."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath

from lookalike.errors import DataError

MAX_SHOWN = 20
_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")


@dataclass(frozen=True)
class ImageList:
    """Images of a data set in the order of its list.

    Attributes:
        paths: Relative to the image root.
        labels: One class or identity each, from 0.
        cameras: One camera, view or unique image id each; None where the list has none.
        lines: Line of each image in the list file, from 1, for messages.
    """

    paths: list[str]
    labels: list[int]
    cameras: list[int] | None
    lines: list[int]

    def relabelled(self) -> ImageList:
        """Number the labels 0 to C - 1 in their sorted order.

        Example:
            >>> ImageList(["a", "b", "c"], [7, 3, 7], None, [1, 2, 3]).relabelled().labels
            [1, 0, 1]
        """
        order = {label: new for new, label in enumerate(sorted(set(self.labels)))}
        return replace(self, labels=[order[label] for label in self.labels])


class ListProblems:
    """Collects the mistakes of one list file and tells the first twenty of them."""

    def __init__(self, file: str | Path) -> None:
        self.file = file
        self.found: list[str] = []
        self.count = 0

    def add(self, line: int, message: str) -> None:
        """Note a mistake in a line."""
        self.count += 1
        if len(self.found) < MAX_SHOWN:
            self.found.append(f"{self.file}:{line}: {message}")

    def raise_if_any(self) -> None:
        """Raise DataError with what was found."""
        if self.count:
            more = self.count - len(self.found)
            tail = [f"... and {more} more lines"] if more else []
            raise DataError("\n".join([*self.found, *tail]))


def read_lines(path: str | Path) -> list[tuple[int, str]]:
    """Return the numbered lines of a list that hold something.

    Raises:
        DataError: If the file cannot be read, is not UTF-8, or has no line.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: the list cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}).") from error
    lines = [(n, line) for n, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise DataError(f"{path}: the list is empty.")
    return lines


def read_image_list(
    path: str | Path, *, split: Callable[[str], Sequence[str]] = str.split, cameras: bool = True
) -> ImageList:
    """Read a list with a path, a label and possibly a camera in each line.

    Args:
        path: The list file.
        split: Line to columns; whitespace by default.
        cameras: Take the third column, if there is one, as camera.

    Raises:
        DataError: Every malformed line (up to twenty), each with file and line number.
    """
    images = ImageList([], [], [], [])
    problems = ListProblems(path)
    num_columns: dict[int, int] = {}
    for number, line in read_lines(path):
        columns = split(line)
        if len(columns) < 2:
            problems.add(number, f"expected a path and a label, got {line.strip()[:80]!r}.")
            continue
        label = _integer(columns[1], "label", number, problems)
        third = cameras and len(columns) > 2
        camera = _integer(columns[2], "camera", number, problems) if third else -1
        if label is None or camera is None or not inside_root(columns[0], number, problems):
            continue
        num_columns.setdefault(3 if third else 2, number)
        _append(images, columns[0], label, camera, number)
    if len(num_columns) == 2:
        problems.add(
            max(num_columns.values()),
            f"has {'a' if num_columns[3] > num_columns[2] else 'no'} third column, unlike line "
            f"{min(num_columns.values())}; give every line a camera or none.",
        )
    problems.raise_if_any()
    if 3 not in num_columns:
        return ImageList(images.paths, images.labels, None, images.lines)
    return images


def _append(images: ImageList, path: str, label: int, camera: int, line: int) -> None:
    images.paths.append(path)
    images.labels.append(label)
    images.lines.append(line)
    if images.cameras is not None:
        images.cameras.append(camera)


def _integer(text: str, what: str, line: int, problems: ListProblems) -> int | None:
    if not is_whole(text):
        problems.add(line, f"the {what} must be a whole number, got {text[:40]!r}.")
        return None
    value = int(text)
    if value < 0 and what == "label":
        problems.add(line, f"labels start at 0, got {value}.")
        return None
    return value


def is_whole(text: str) -> bool:
    """Tell whether a text is a whole number that fits a tensor.

    Example:
        >>> is_whole("-1"), is_whole("1.0"), is_whole("9" * 20)
        (True, False, False)
    """
    return _WHOLE.fullmatch(text) is not None


def inside_root(path: str, line: int, problems: ListProblems) -> bool:
    """Refuse a path that leaves the image root; a list from a stranger must not read any file."""
    if os.path.isabs(path) or PureWindowsPath(path).is_absolute():
        problems.add(line, f"absolute paths are refused, got {path!r}.")
        return False
    if ".." in PurePosixPath(path).parts or ".." in PureWindowsPath(path).parts:
        problems.add(line, f"{path!r} leaves the image root.")
        return False
    return True
