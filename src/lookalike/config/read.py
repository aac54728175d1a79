"""YAML text to plain values that remember where they were written.

YAML 1.2 core rules, so ``1e-3`` is a number, ``no`` is a word and ``010`` is ten. Tags are refused
(they are how YAML runs code), duplicate keys are refused, and anchors are followed within limits.
Nothing in a file is ever evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from lookalike.config.scalars import plain_scalar
from lookalike.errors import ConfigError, Problem

MAX_BYTES = 200_000
MAX_DEPTH = 40
MAX_NODES = 20_000

KeyPath = tuple[str | int, ...]

_ENDS = re.compile("end of stream|stream end")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Mark(NamedTuple):
    line: int
    column: int


@dataclass
class Document:
    """A YAML file as plain dicts, lists and scalars, with the place of every key.

    Attributes:
        file: Name for messages.
        data: The values.
        marks: Line and column, from 1, by key path.
        overrides: Command line assignments, as typed, by key path.
    """

    file: str
    text: str
    data: dict[str, Any]
    marks: dict[KeyPath, tuple[int, int]]
    overrides: dict[KeyPath, str] = field(default_factory=dict)

    def problem(self, path: KeyPath, message: str) -> Problem:
        """Describe a mistake at a key, with file, line and an excerpt."""
        key = dotted(path)
        for length in range(len(path), 0, -1):
            if path[:length] in self.overrides:
                return Problem(key, message, where=f"-o {self.overrides[path[:length]]}")
            if path[:length] in self.marks:
                line, column = self.marks[path[:length]]
                return Problem(
                    key, message, f"{self.file}:{line}:{column}", excerpt(self.text, line, column)
                )
        return Problem(key, message, where=self.file)


def dotted(path: KeyPath) -> str:
    """Write a key path the way ``-o`` takes it, such as ``Loss.Train.0.CELoss``."""
    return ".".join(str(part) for part in path)


def excerpt(text: str, line: int, column: int) -> str:
    """Return the line with a caret under the column."""
    lines = text.splitlines()
    if not 1 <= line <= len(lines):
        return ""
    number = f"{line:>5} | "
    start = max(0, column - 140)
    shown = lines[line - 1][start : start + 160]
    return f"{number}{shown}\n{' ' * (len(number) + column - 1 - start)}^"


def read_yaml(path: str | Path) -> Document:
    """Read a YAML file.

    Raises:
        ConfigError: If it cannot be read or is not the YAML of a run.
    """
    path = Path(path)
    try:
        # a device or a pipe has no size to ask for
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES:,} bytes; this is no configuration.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path}:{line}: not UTF-8 text (byte {error.start}). Save the file as UTF-8; "
            "a file written under Windows in Chinese is often GBK."
        ) from error
    return read_yaml_text(text, file=str(path))


def read_yaml_text(text: str, *, file: str = "<text>") -> Document:
    """Read YAML from a string; ``file`` is its name in messages."""
    value, marks = _Reader(text, file).read()
    if not isinstance(value, dict):
        raise ConfigError([Problem("", "the file must hold a mapping of sections", where=file)])
    return Document(file, text, value, marks)


def read_value(text: str, *, where: str = "-o") -> Any:
    """Read one value as YAML, as in ``-o key=VALUE``; ``where`` stands in messages.

    Example:
        >>> read_value("[1, 2e-1]"), read_value("None"), read_value("a=b"), read_value("")
        ([1, 0.2], None, 'a=b', None)
    """
    if not text.strip():
        return None
    return _Reader(text, where).read()[0]


class _Reader:
    """Builds values from parser events, recording where each key stands."""

    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text, file
        self.marks: dict[KeyPath, tuple[int, int]] = {}
        self.anchors: dict[str, Any] = {}
        self.sizes: dict[str, int] = {}
        self.depths: dict[str, int] = {}
        self.deepest = 0
        self.last: Any = None
        self.events: Iterator[Event] = iter(())
        self.num_nodes = 0

    def read(self) -> tuple[Any, dict[KeyPath, tuple[int, int]]]:
        if (found := _FORBIDDEN.search(self.text)) is not None:
            line = self.text.count("\n", 0, found.start())
            column = found.start() - (self.text.rfind("\n", 0, found.start()) + 1)
            raise self._error("a character that YAML does not allow", _Mark(line, column))
        try:
            self.events = self._events()
            return self._document(), self.marks
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            if _ENDS.search(str(error.problem)) and error.context_mark is not None:
                # an unclosed quote or bracket is told where it opens
                mark = error.context_mark
            raise self._error(str(error.problem or error.context or "not YAML"), mark) from error
        except (YAMLError, ValueError, RecursionError, OverflowError) as error:
            if isinstance(error, ConfigError):
                raise
            raise self._error(f"not YAML ({error})", self.last) from error

    def _events(self) -> Iterator[Event]:
        for event in YAML(typ="safe", pure=True).parse(self.text):
            self.last = event.start_mark
            yield event

    def _document(self) -> Any:
        self._expect(StreamStartEvent)
        event = next(self.events)
        if isinstance(event, StreamEndEvent):
            raise self._error("the file is empty", None)
        value = self._value(next(self.events), (), 0)
        self._expect(DocumentEndEvent)
        event = next(self.events)
        if isinstance(event, DocumentStartEvent):
            raise self._error("a second document starts here", event.start_mark)
        return value

    def _expect(self, kind: type[Event]) -> None:
        event = next(self.events)
        if not isinstance(event, kind):
            raise self._error("not the YAML of a run", event.start_mark)

    def _value(self, event: Event, path: KeyPath, depth: int) -> Any:
        self._count(1, event)
        self._descend(depth, event)
        if isinstance(event, AliasEvent):
            return self._alias(event, depth)
        self._refuse_tag(event)
        before, above = self.num_nodes, self.deepest
        self.deepest = depth
        if isinstance(event, ScalarEvent):
            value: Any = event.value if event.style else plain_scalar(event.value)
        elif isinstance(event, SequenceStartEvent):
            value = self._sequence(path, depth)
        else:
            value = self._mapping(path, depth)
        anchor: str | None = getattr(event, "anchor", None)
        if anchor is not None:
            self.anchors[anchor] = value
            self.sizes[anchor] = self.num_nodes - before + 1
            self.depths[anchor] = self.deepest - depth
        self.deepest = max(above, self.deepest)
        return value

    def _descend(self, depth: int, event: Event) -> None:
        self.deepest = max(self.deepest, depth)
        if depth > MAX_DEPTH:
            raise self._error(f"nested deeper than {MAX_DEPTH} levels", event.start_mark)

    def _sequence(self, path: KeyPath, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            here = (*path, len(items))
            self._mark(here, event)
            items.append(self._value(event, here, depth + 1))
        return items

    def _mapping(self, path: KeyPath, depth: int) -> dict[str, Any]:
        items: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            if not isinstance(event, ScalarEvent):
                raise self._error("a key must be a word", event.start_mark)
            self._refuse_tag(event)
            self._count(1, event)
            key = event.value
            here = (*path, key)
            if key in items:
                raise self._error(f"the key '{key}' stands here a second time", event.start_mark)
            self._mark(here, event)
            value = self._value(next(self.events), here, depth + 1)
            if key == "<<" and not event.style:
                merged |= self._merge(value, event)
            else:
                items[key] = value
        return merged | items

    def _merge(self, value: Any, event: Event) -> dict[str, Any]:
        parts = value if isinstance(value, list) else [value]
        merged: dict[str, Any] = {}
        for part in reversed(parts):
            if not isinstance(part, dict):
                raise self._error("'<<' merges mappings only", event.start_mark)
            merged |= part
        return merged

    def _alias(self, event: AliasEvent, depth: int) -> Any:
        if event.anchor not in self.anchors:
            raise self._error(f"no anchor '&{event.anchor}' above this alias", event.start_mark)
        self._count(self.sizes[event.anchor], event)
        self._descend(depth + self.depths[event.anchor], event)
        return _copy(self.anchors[event.anchor])

    def _count(self, nodes: int, event: Event) -> None:
        self.num_nodes += nodes
        if self.num_nodes > MAX_NODES:
            raise self._error(f"more than {MAX_NODES:,} values", event.start_mark)

    def _refuse_tag(self, event: Any) -> None:
        if event.tag is not None:
            raise self._error("YAML tags are not allowed; write a plain value", event.start_mark)

    def _mark(self, path: KeyPath, event: Event) -> None:
        mark = event.start_mark
        self.marks[path] = (mark.line + 1, mark.column + 1)

    def _error(self, message: str, mark: Any) -> ConfigError:
        if mark is None:
            return ConfigError([Problem("", message, where=self.file)])
        line, column = mark.line + 1, mark.column + 1
        where = f"{self.file}:{line}:{column}"
        return ConfigError([Problem("", message, where, excerpt(self.text, line, column))])


def _copy(value: Any) -> Any:
    """Copy nested lists and mappings, so that an override of one use of an anchor is only that."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value
