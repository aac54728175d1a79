"""Asking a run to stop, politely."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lookalike.errors import Interrupted

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 75}


class StopRequest:
    """Set by a signal, looked at between steps."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def event(self, how_to_go_on: str) -> Interrupted:
        """Return what to raise after everything has been saved."""
        assert self.signal is not None
        return Interrupted(
            f"Stopped by {self.signal.name}; everything is saved. {how_to_go_on}",
            exit_code=EXIT_CODES.get(self.signal, 130),
        )


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn the first Ctrl-C or SIGTERM into a request; the second one ends at once."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        if request:
            raise Interrupted("Stopped at once, without saving.", exit_code=130)
        request.signal = signal.Signals(number)

    before = {number: signal.signal(number, note) for number in EXIT_CODES}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
