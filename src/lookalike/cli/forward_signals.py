"""Signals to a launcher are passed on to the processes it has started, which know how to save."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from lookalike.training.stop_signals import handled_signals


class RanksEnded(BaseException):
    """Raised where a signal was handled, after the processes it was passed on to have ended.

    Attributes:
        signal: The last one that was passed on.
        codes: How each process ended: its exit code, or minus the number of a signal.
    """

    def __init__(self, number: int, codes: list[int]) -> None:
        super().__init__(number, codes)
        self.signal, self.codes = signal.Signals(number), codes


@contextmanager
def forwarding_signals() -> Iterator[None]:
    """Pass the signals that stop a run on to the child processes, and wait until they have ended.

    PyTorch's launcher kills processes 30 s after a signal, and does not report whether they had
    saved; so it must not handle these signals itself.

    Raises:
        RanksEnded: Out of the block, after a signal.
    """

    def forward(number: int, frame: FrameType | None) -> None:
        ranks = child_sessions()
        for pid in ranks:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        # a second signal is forwarded from within this wait
        codes = [code for pid in ranks if (code := _wait(pid)) is not None]
        raise RanksEnded(number, codes)

    before = {number: signal.signal(number, forward) for number in handled_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def child_sessions() -> list[int]:
    """Return the child processes that lead a session of their own, as the launcher starts them."""
    own = os.getpid()
    return sorted(pid for pid, parent in _parents() if parent == own and _session(pid) == pid)


def _parents() -> Iterator[tuple[int, int]]:
    stats = list(Path("/proc").glob("[0-9]*/stat"))
    for path in stats:
        with suppress(OSError):
            # pid (name) state parent
            yield int(path.parent.name), int(path.read_text().rpartition(")")[2].split()[1])
    if not stats:
        listed = subprocess.run(["ps", "-Ao", "pid=,ppid="], capture_output=True, text=True)
        for line in listed.stdout.splitlines():
            pid, parent = line.split()
            yield int(pid), int(parent)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def _wait(pid: int) -> int | None:
    """Return how a child ended, and leave it to the launcher to reap."""
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    except ChildProcessError:
        return None
    if found is None:
        return None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
