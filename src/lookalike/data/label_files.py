"""Text files that list images with their labels."""

from __future__ import annotations

import io
import os
import re
import stat
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from lookalike.data.columns import GrowingTexts, Integers, Texts
from lookalike.errors import DataError
from lookalike.names import JUNK, is_whole, numbered

MAX_SHOWN = 20
_TO_ALLOW = "If it is meant, write allow_outside: True beside the list in the YAML."
_CHUNK = 1 << 20
# bytes without a newline; lists of old Macs end lines with another sign
_LONGEST = 1 << 26
_BOM = b"\xef\xbb\xbf"
# what every path has that leaves its root; the rest is spared the closer look, ten times the cost
_SUSPECT = re.compile(r"^[/\\]|\.\.|:|[\x00-\x08\x0a-\x1f\x7f]")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_OUTSIDE = ContextVar("outside", default=False)
# a pipe that nobody writes to would be waited for without end
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class ImageList:
    """Images of a data set in the order of its list, in columns that processes share.

    Attributes:
        paths: Relative to the image root.
        labels: One class or identity each, from 0.
        cameras: One camera, view or unique image id each; None where the list has none.
        lines: Line of each image in the list file, from 1, for messages.
        class_names: Name of each label; None where the labels are numbers of the list itself.
        camera_names: Name of each camera; None where the cameras are numbers of the list itself.
        notes: What was left out, in sentences.
    """

    paths: Sequence[str]
    labels: Sequence[int]
    cameras: Sequence[int] | None
    lines: Sequence[int]
    class_names: Sequence[str] | None = None
    camera_names: Sequence[str] | None = None
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        for kind, names in (
            (Texts, ("paths", "class_names", "camera_names")),
            (Integers, ("labels", "cameras", "lines")),
        ):
            for name in names:
                values = getattr(self, name)
                object.__setattr__(self, name, None if values is None else kind(values))

    def relabelled(self) -> ImageList:
        """Number the labels 0 to C - 1 in their sorted order; what they were becomes their name.

        Example:
            >>> images = ImageList(["a", "b", "c"], [7, 3, 7], None, [1, 2, 3]).relabelled()
            >>> images.labels, images.class_names
            (Integers([1, 0, 1]), Texts(['3', '7']))
        """
        used, numbers = np.unique(np.asarray(self.labels), return_inverse=True)
        names = [
            str(label) if self.class_names is None else self.class_names[label]
            for label in used.tolist()
        ]
        return replace(self, labels=Integers(numbers), class_names=Texts(names))


class ImageRows:
    """Images of a list that is still read; the columns grow without an object per image."""

    def __init__(self) -> None:
        self.paths = GrowingTexts()
        self.labels, self.cameras, self.lines = array("q"), array("q"), array("q")
        self.camera_names: GrowingTexts | None = None
        self.num_junk = 0

    def __len__(self) -> int:
        return len(self.labels)

    def add(self, path: str, label: int, line: int, camera: int | str | None = None) -> None:
        """Add an image; all have a camera or none. An image with the label -1 is left out."""
        if label == JUNK:
            self.num_junk += 1
            return
        self.paths.append(path)
        self.labels.append(label)
        self.lines.append(line)
        if isinstance(camera, str) and self.camera_names is None:
            self.camera_names = GrowingTexts(map(str, self.cameras))
        if self.camera_names is not None:
            self.camera_names.append(str(camera))
        elif isinstance(camera, int):
            self.cameras.append(camera)

    def listed(self, problems: ListProblems | None = None, *, cameras: bool = True) -> ImageList:
        """Return the list; ``cameras: False`` leaves them out.

        Args:
            problems: Receives cameras that are neither whole numbers nor names.
            cameras: Keep the cameras, if every image has one.
        """
        names: Sequence[str] | None = None
        kept: Sequence[int] | None = self.cameras
        if self.camera_names is not None and problems is not None:
            texts = Texts(self.camera_names)
            kept, names = numbered(texts, self.lines, "camera", problems.add)
            problems.raise_if_any()
        if not cameras or kept is None or len(kept) != len(self.labels):
            kept, names = None, None
        notes = (left_out_as_junk(self.num_junk),) if self.num_junk else ()
        return ImageList(
            Texts(self.paths), self.labels, kept, self.lines, camera_names=names, notes=notes
        )


def left_out_as_junk(count: int) -> str:
    """Return the note on images with the label -1."""
    return f"{count:,} image{'s' if count > 1 else ''} with the label {JUNK} (junk) left out."


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


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines of a list that hold something, without keeping them.

    Raises:
        DataError: If the file cannot be read, is not UTF-8, has no line or an endless one.
    """
    number, empty = 0, True
    for text in _pieces(path):
        for line in lines_of(text):
            number += 1
            if line and not line.isspace():
                empty = False
                yield number, line
    if empty:
        raise DataError(f"{path}: the list is empty.")


def lines_of(text: str, *, keepends: bool = False) -> list[str]:
    r"""Split a text at line feeds and carriage returns, as editors count lines.

    ``str.splitlines`` also splits at form feeds and separators of Unicode, which paths may hold.

    Example:
        >>> lines_of("a\r\nb\u2028c\rd\n"), lines_of("a\n\nb", keepends=True)
        (['a', 'b\u2028c', 'd'], ['a\n', '\n', 'b'])
    """
    found = list(io.StringIO(text, newline=""))
    return found if keepends else [line.rstrip("\r\n") for line in found]


def _pieces(path: str | Path) -> Iterator[str]:
    """Yield the text of a file in pieces that end with a line."""
    start, rest = 0, b""
    try:
        with open(path, "rb", opener=_opener) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise DataError(f"{path}: not a regular file; a list of images is expected.")
            rest = file.read(len(_BOM))
            if rest == _BOM:
                start, rest = len(_BOM), b""
            while data := file.read(_CHUNK):
                whole, newline, tail = data.rpartition(b"\n")
                if newline:
                    whole, rest = rest + whole + newline, tail
                    yield whole.decode("utf-8")
                    start += len(whole)
                else:
                    rest += tail
                if len(rest) > _LONGEST:
                    raise DataError(
                        f"{path}:{_line_at(path, start)}: a line longer than {_LONGEST:,} bytes; "
                        "this is no list of images."
                    )
        yield rest.decode("utf-8")
    except OSError as error:
        raise DataError(f"{path}: the list cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        place = start + error.start
        raise DataError(
            f"{path}:{_line_at(path, place)}: not UTF-8 text (byte {place}). Save the file as "
            "UTF-8; a file written under Windows in Chinese is often GBK."
        ) from error


def _opener(path: str, _: int) -> int:
    return os.open(path, _FLAGS)


def _line_at(path: str | Path, place: int) -> int:
    """Return the line, from 1, in which a byte of a file stands."""
    lines, left = 1, place
    with open(path, "rb") as file:
        while left > 0 and (data := file.read(min(left, _CHUNK))):
            lines, left = lines + data.count(b"\n"), left - len(data)
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
    images = ImageRows()
    problems = ListProblems(path)
    num_columns: dict[int, int] = {}
    for number, line in read_lines(path):
        columns = split(line)
        if len(columns) < 2:
            problems.add(number, f"expected a path and a label, got {line.strip()[:80]!r}.")
            continue
        label = _label(columns[1], number, problems)
        third = cameras and len(columns) > 2
        camera: int | str = -1
        if third:
            camera = int(columns[2]) if is_whole(columns[2]) else columns[2]
        if label is None or not inside_root(columns[0], number, problems):
            continue
        num_columns.setdefault(3 if third else 2, number)
        images.add(columns[0], label, number, camera)
    if len(num_columns) == 2:
        problems.add(
            max(num_columns.values()),
            f"has {'a' if num_columns[3] > num_columns[2] else 'no'} third column, unlike line "
            f"{min(num_columns.values())}; give every line a camera or none.",
        )
    problems.raise_if_any()
    if not images:
        raise DataError(f"{path}: every image has the label {JUNK} (junk); no image is left.")
    return images.listed(problems, cameras=3 in num_columns)


def _label(text: str, line: int, problems: ListProblems) -> int | None:
    if not is_whole(text):
        problems.add(line, f"the label must be a whole number, got {text[:40]!r}.")
        return None
    if int(text) < JUNK:
        problems.add(line, f"labels start at 0 ({JUNK} marks junk), got {text[:40]}.")
        return None
    return int(text)


@contextmanager
def outside_allowed(allowed: bool = True) -> Iterator[None]:
    """Let the lists that are read here name files outside of their root, if their owner says so.

    Readers build their data sets themselves, so this cannot be an argument of each.
    """
    token = _OUTSIDE.set(allowed)
    try:
        yield
    finally:
        _OUTSIDE.reset(token)


def inside_root(path: str, line: int, problems: ListProblems) -> bool:
    """Refuse a path that leaves the image root; a list from a stranger must not read any file."""
    if not _SUSPECT.search(path):
        return True
    if _CONTROL.search(path):
        problems.add(line, f"{path[:80]!r} holds a control character, which no file name needs.")
        return False
    if _OUTSIDE.get():
        return True
    if os.path.isabs(path) or PureWindowsPath(path).is_absolute():
        problems.add(line, f"absolute paths are refused, got {path[:200]!r}. {_TO_ALLOW}")
        return False
    if ".." in PurePosixPath(path).parts or ".." in PureWindowsPath(path).parts:
        problems.add(line, f"{path[:200]!r} leaves the image root. {_TO_ALLOW}")
        return False
    return True
