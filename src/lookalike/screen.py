"""Standard output and standard error that may go away while a command runs.

``| head`` closes a pipe, a terminal closes with its window, a disk behind a redirection is full.
None of this is a reason to lose work: the failure is reported once and the command continues.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from contextlib import suppress
from typing import Any

from lookalike.errors import SetupError

_NAMES = {1: "standard output", 2: "standard error"}


class _Lasting(io.RawIOBase):
    """A file descriptor; what cannot be written to it is dropped."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.descriptor = descriptor
        self.failure: OSError | None = None

    def fileno(self) -> int:
        return self.descriptor

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self.descriptor)

    def write(self, data: Any) -> int:
        while True:
            try:
                return os.write(self.descriptor, data)
            except BlockingIOError:
                # the pipe is full, and another program has set it not to block
                select.select([], [self.descriptor], [])
            except OSError as error:
                first, self.failure = self.failure is None, error
                if first and self.descriptor == 1:
                    text = f"warning: {_problem(self)} The command continues.\n"
                    with suppress(OSError):
                        os.write(2, text.encode())
                return len(data)


def _problem(stream: _Lasting) -> str:
    assert stream.failure is not None
    reason = stream.failure.strerror or str(stream.failure)
    return f"{_NAMES[stream.descriptor]} cannot be written any more ({reason})."


_streams: list[_Lasting] = []


def make_streams_last() -> None:
    """Replace ``sys.stdout`` and ``sys.stderr`` by streams that never raise.

    A descriptor that is closed leads to ``/dev/null`` then: otherwise the next file that is opened
    would get its number, and what is printed.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # the lowest number that is free
            os.open(os.devnull, os.O_RDWR)
    _streams[:] = [_Lasting(1), _Lasting(2)]
    sys.stdout, sys.stderr = (
        _text_stream(raw, before)
        for raw, before in zip(_streams, (sys.stdout, sys.stderr), strict=True)
    )


def _text_stream(raw: _Lasting, before: Any) -> io.TextIOWrapper:
    buffered = raw.descriptor == 1 and not raw.isatty()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(before, "encoding", None) or "utf-8",
        # a terminal that lacks a letter of a file name is no reason to end a run
        errors="backslashreplace",
        line_buffering=not buffered,
        write_through=getattr(before, "write_through", False),
    )


def problems() -> list[str]:
    """Return a sentence for each stream of :func:`make_streams_last` that has failed."""
    return [_problem(stream) for stream in _streams if stream.failure is not None]


def print_result(text: str) -> None:
    """Print what another program will read.

    Raises:
        SetupError: If it could not be written, unless the reader has closed the pipe.
    """
    print(text, flush=True)  # noqa: T201
    failure = _streams[0].failure if _streams else None
    if failure is not None and failure.errno != errno.EPIPE:
        raise SetupError(_problem(_streams[0]))
