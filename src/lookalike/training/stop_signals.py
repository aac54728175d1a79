"""Asking a run to stop, politely; and at once."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import torch

from lookalike import processes
from lookalike.errors import Interrupted

# what a shell shows of a run that has saved itself; SIGUSR1 is how a cluster warns of the end,
# SIGHUP how a closed terminal does
EXIT_CODES = {
    signal.SIGINT: 130,
    signal.SIGTERM: 75,
    signal.SIGHUP: 75,
    signal.SIGQUIT: 75,
    signal.SIGUSR1: 75,
}
# a second one of these ends the process; the others may come twice, from a kernel and a shell say
_INSISTING = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
# a wrapper may pass a signal on that the whole process group has had already
_SAME_SIGNAL = 0.3
_END = bytes(1)


class StopNow(BaseException):
    """Raised by a signal where nothing is lost by leaving at once; no error, so nobody eats it."""


class StopRequest:
    """Set by a signal, looked at between steps."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.interrupts = False

    def __bool__(self) -> bool:
        return self.signal is not None

    def anywhere(self) -> bool:
        """Tell whether any process of the run was asked to stop; then all are."""
        number = int(processes.take_largest(torch.tensor(int(self.signal or 0))))
        if number and not self:
            self.signal = signal.Signals(number)
        return number > 0

    def event(self, how_to_go_on: str) -> Interrupted:
        """Return what to raise after everything has been saved."""
        assert self.signal is not None
        return Interrupted(
            f"Stopped by {self.signal.name}; everything is saved. {how_to_go_on}",
            exit_code=EXIT_CODES.get(self.signal, 130),
        )

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal break off what is done meanwhile.

        Raises:
            StopNow: At the signal, or here if it has come already.
        """
        self.interrupts = True
        try:
            if self:
                raise StopNow
            yield
        finally:
            self.interrupts = False


def handled_signals() -> list[signal.Signals]:
    """Return the signals that ask a run to stop; SIGHUP is none where it is ignored (nohup)."""
    hangs_up = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
    return [number for number in EXIT_CODES if number != signal.SIGHUP or hangs_up]


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn the first of the signals of ``EXIT_CODES`` into a request; a second one ends at once.

    SIGHUP stays ignored where it was, as under ``nohup``.

    The second one is noticed by a thread, since Python calls no handler while the main thread is
    in a long operation of a library. Processes that are forked meanwhile, such as those that read
    images, take no part: a signal to the whole group must not take the next batch away.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        if not request:
            request.signal = signal.Signals(number)
            # from here on a dead worker is met at the next batch, not in the middle of a step
            before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if request.interrupts:
            raise StopNow

    before: dict[int, Any] = {}
    ear, mouth = socket.socketpair()
    mouth.setblocking(False)
    watcher = threading.Thread(target=_end_at_second, args=[ear], daemon=True)
    watcher.start()
    outer = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
    before |= {number: signal.signal(number, note) for number in handled_signals()}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(outer)
        # not the end of the stream: forked processes hold the other end as well
        mouth.send(_END)
        watcher.join()
        mouth.close()
        ear.close()


def _end_at_second(ear: socket.socket) -> None:
    """Read the signals as they come; end the process at the second that asks to stop."""
    first: float | None = None
    while _END not in (numbers := ear.recv(64)):
        # SIGUSR1 and SIGHUP are warnings: the SIGTERM that follows is the first of its kind
        asking = [number for number in numbers if number in _INSISTING]
        if asking and first is None:
            first = time.monotonic()
        elif asking and first is not None and time.monotonic() - first > _SAME_SIGNAL:
            with suppress(OSError):  # the terminal may be closed
                os.write(2, b"\nStopped at once, without saving.\n")
            os._exit(128 + asking[-1])


def _take_no_part() -> None:
    """Let a forked process leave the signals of its group to the one it was forked from."""
    if any(getattr(signal.getsignal(n), "__module__", "") == __name__ for n in EXIT_CODES):
        signal.set_wakeup_fd(-1)
        for number in EXIT_CODES:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


os.register_at_fork(after_in_child=_take_no_part)
