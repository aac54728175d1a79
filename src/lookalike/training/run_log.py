"""What a run tells: lines for people, records for machines, a bar for the impatient."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lookalike import screen
from lookalike.errors import SetupError, presentable, writing
from lookalike.place import moved

_STAMP = "[%Y/%m/%d %H:%M:%S]"


class _Screen(Console):
    """A console that leaves a closed pipe to its caller; rich ends the process."""

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - called where the error is handled


class Tracker(Protocol):
    """Takes scalars for a dashboard."""

    def add_scalar(self, tag: str, value: float, step: int) -> None: ...

    def close(self) -> None: ...


class RunLog:
    """Writes ``<folder>/<name>.log`` and ``metrics.jsonl``, and shows lines and bars.

    What cannot be written any more is told once, and the run goes on; it is tried again each time.

    Args:
        folder: The run folder; None writes no files.
        name: ``train``, ``eval``, ...
        tracker: Dashboard, if one is wanted; when it fails, the run goes on without it.
        quiet: Show nothing.
    """

    def __init__(
        self,
        folder: Path | None = None,
        name: str = "train",
        *,
        tracker: Tracker | None = None,
        quiet: bool = False,
    ) -> None:
        self.console = _Screen(file=sys.stdout, quiet=quiet, highlight=False, soft_wrap=True)
        self.tracker = tracker
        self.folder, self.name = folder, name
        self.failed: set[str] = set()
        self.written = False
        self._held: list[tuple[str, str]] | None = None

    def line(self, text: str) -> None:
        """Show a line and append it, with the time, to the log file."""
        text = presentable(text)
        self._show(f"{time.strftime(_STAMP)} {text}")
        self.keep(text)

    def keep(self, text: str) -> None:
        """Append a line to the log file without showing it."""
        line = f"{time.strftime(_STAMP)} lookalike INFO: {presentable(text)}\n"
        self._append(f"{self.name}.log", line)

    def _show(self, text: str) -> None:
        try:
            self.console.print(text, markup=False)
        except OSError as error:
            # written to a file of a full disk, say
            self._warn("the screen", f"The screen cannot be written ({error.strerror}).")
        for problem in screen.problems():
            self._warn(problem, problem)

    def _warn(self, what: str, problem: str) -> None:
        """Say once that something cannot be written: telling is no reason to end a run."""
        if what not in self.failed:
            self.failed.add(what)
            self.line(f"WARNING: {problem} The run goes on.")

    def record(self, kind: str, values: Mapping[str, Any]) -> None:
        """Append one JSON object to ``metrics.jsonl`` and pass its numbers to the dashboard."""
        self._append("metrics.jsonl", json.dumps({"kind": kind, **values}) + "\n")
        if self.tracker is not None:
            self._track(kind, values)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Write nothing to files during the block, but afterwards, unless it fails."""
        self._held = []
        try:
            yield
            held, self._held = self._held, None
            for name, text in held:
                self._append(name, text)
        finally:
            self._held = None

    def _append(self, name: str, text: str) -> None:
        """Add to a file of the run folder; opened anew each time, so nothing is left unwritten."""
        if self._held is not None:
            self._held.append((name, text))
            return
        if self.folder is None:
            return
        path, size = self.folder / name, None
        try:
            with writing(path), open(path, "ab+") as file:
                size = file.seek(0, os.SEEK_END)
                if size and file.seek(-1, os.SEEK_END) + 1 and file.read(1) != b"\n":
                    file.write(b"\n")  # a kill has cut the last line short
                file.write(text.encode("utf-8", "backslashreplace"))
            self.written = True
        except SetupError as error:
            if not self.written:
                raise  # nothing is lost yet, and the folder may be a slip
            if size is not None:
                with suppress(OSError):
                    os.truncate(path, size)
            self._warn(name, str(error))

    def _track(self, kind: str, values: Mapping[str, Any]) -> None:
        try:
            for key, value in values.items():
                if isinstance(value, int | float) and key != "step" and self.tracker is not None:
                    self.tracker.add_scalar(f"{kind}/{key}", float(value), int(values["step"]))
        except Exception as error:  # noqa: BLE001 - a dashboard must never end a training run
            self.tracker = None
            self.line(f"The dashboard failed and is left out from now on: {error}")

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Bar]:
        """Show a progress bar with the remaining time while on a terminal."""
        if not self.console.is_terminal or self.console.quiet:
            yield Bar(None, None)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("eta"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            yield Bar(progress, progress.add_task(what, total=total))

    def close(self) -> None:
        """Close the dashboard."""
        try:
            if self.tracker is not None:
                self.tracker.close()
        except Exception as error:  # noqa: BLE001 - a dashboard must never end a training run
            self._warn("the dashboard", f"The dashboard could not be closed: {error}.")


class Bar:
    """A progress bar, or nothing where there is no terminal."""

    def __init__(self, progress: Progress | None, task: TaskID | None) -> None:
        self.progress, self.task = progress, task

    def advance(self, steps: int = 1) -> None:
        """Move on."""
        moved()
        if self.progress is not None and self.task is not None:
            self.progress.advance(self.task, steps)
