"""A thread in each of several processes that ends all of them when they hang, and says why."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from lookalike import place
from lookalike.errors import ProcessError
from lookalike.training.hang import Report, frozen, verdict

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

_LONGEST_BEAT = 3.0


class Watchdog:
    """Tells the other processes where this one is, and sees when none of them moves any more.

    Processes meet in every step, so one that stands still stops all of them, in a call that waits
    without a word. When this one has not moved for ``timeout`` seconds, and the reports of the
    others show that none has, or that one does not answer, each process writes the stacks of its
    threads to ``hang_process_<n>.txt`` in the run folder, one says who keeps the others waiting,
    and all end. No phase is exempt: evaluation moves with every batch and every tile of a ranking,
    and the processes that wait for one that still moves are left alone. Only one step, or the
    writing of one checkpoint, must not take longer than ``timeout``.

    Args:
        store: Reaches all processes.
        rank: The number of this process.
        number: How many there are.
        timeout: Seconds.
        folder: The run folder.
        leave: Ends the process; for tests.
    """

    def __init__(
        self,
        store: Store,
        rank: int,
        number: int,
        *,
        timeout: float,
        folder: Path,
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        self.store, self.rank, self.number = store, rank, number
        self.timeout, self.folder, self.leave = timeout, folder, leave
        self.beat = min(_LONGEST_BEAT, timeout / 10)
        self.beats, self.moves, self.since = 0, -1, time.monotonic()
        self.parent = os.getppid()
        self._main = threading.main_thread().ident
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="watchdog")

    def __enter__(self) -> Watchdog:
        with suppress(RuntimeError):
            self._report()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join(2 * self.beat)

    def gone(self) -> list[int]:
        """Return the ranks of this host whose process has ended."""
        with suppress(RuntimeError):
            reports = [one for one in self._read() if one is not None]
            return [one.rank for one in reports if one.host == _host() and not _lives(one.pid)]
        return []

    def _watch(self) -> None:
        # a store that is gone leaves nothing to watch by: the run ends, or the group's own timeout
        # ends it
        with suppress(RuntimeError):
            while not self._over.wait(self.beat):
                self._stop_without_launcher()
                if self._report() > self.timeout:
                    self._judge()
                if self.store.check(["verdict"]):
                    self._end(self.store.get("verdict").decode())
        while not self._over.wait(self.beat):
            self._stop_without_launcher()

    def _report(self) -> float:
        """Tell where this process is; return the seconds since it moved."""
        now, here = time.monotonic(), place.here
        if here.moves != self.moves:
            self.moves, self.since = here.moves, now
        self.beats += 1
        report = Report(
            rank=self.rank,
            host=_host(),
            pid=os.getpid(),
            parent=self.parent,
            beat=self.beats,
            phase=here.phase,
            iteration=here.iteration,
            meetings=here.meetings,
            still=now - self.since,
            line=self._line(),
        )
        self.store.set(str(self.rank), json.dumps(asdict(report)))
        return report.still

    def _line(self) -> str:
        """Return where the main thread is: its innermost line outside PyTorch."""
        frame = sys._current_frames().get(self._main or 0)
        while frame is not None and "/torch/" in frame.f_code.co_filename and frame.f_back:
            frame = frame.f_back
        if frame is None:
            return "?"
        file = "/".join(Path(frame.f_code.co_filename).parts[-2:])
        return f"{file}:{frame.f_lineno} ({frame.f_code.co_name})"

    def _read(self) -> list[Report | None]:
        """Return the last report of each process."""
        found: list[Report | None] = []
        for rank in range(self.number):
            told = self.store.check([str(rank)])
            found.append(Report(**json.loads(self.store.get(str(rank)))) if told else None)
        return found

    def _judge(self) -> None:
        first = self._read()
        # others report meanwhile, and so does this one
        for _ in range(3):
            if self._over.wait(self.beat) or self.store.check(["verdict"]):
                return
            self._report()
        second = self._read()
        text = verdict(first, second, self.timeout - 2 * self.beat)
        if text is None:
            return
        if self.store.add("verdicts", 1) == 1:
            self._tell(f"error: the run hangs: {text}.")
            self.store.set("verdict", text)
        else:
            # another one is about to say it, and will not wait for long
            self.store.wait(["verdict"], timedelta(seconds=self.timeout))

    def _tell(self, text: str) -> None:
        where = self.folder / "hang_process_<n>.txt"
        more = f"What each process was doing stands in {where}. Go on with --resume."
        with suppress(OSError):  # the terminal may be closed
            os.write(2, f"{text} {more}\n".encode())

    def _end(self, text: str) -> None:
        """Write the stacks, wait until all have, and end this process and those that cannot."""
        with suppress(OSError), open(self.folder / f"hang_process_{self.rank}.txt", "w") as file:
            file.write(f"{text}\n\n")
            file.flush()
            faulthandler.dump_traceback(file, all_threads=True)
        # the store may end with the process that holds it, a moment before this one
        with suppress(RuntimeError):
            self._end_frozen()
        self.leave(ProcessError("").exit_code)

    def _end_frozen(self) -> None:
        """Give the others time to write, and end those of this host that do not answer."""
        first = self._read()
        for _ in range(3):
            self._report()
            time.sleep(self.beat)
        second = self._read()
        for rank in frozen(first, second):
            report = second[rank]
            if report is not None and report.host == _host() and _same_parent(report):
                with suppress(ProcessLookupError):
                    os.kill(report.pid, signal.SIGKILL)

    def _stop_without_launcher(self) -> None:
        """Ask this process to save and stop once what started it has been killed."""
        if "TORCHELASTIC_RUN_ID" in os.environ and os.getppid() != self.parent:
            if self.rank == 0:
                with suppress(OSError):
                    os.write(2, b"The launcher has gone; its processes stop.\n")
            self.parent = os.getppid()
            os.kill(os.getpid(), signal.SIGTERM)


def _host() -> str:
    return socket.gethostname()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _same_parent(report: Report) -> bool:
    """Tell whether a number is still that of a process started beside this one (Linux)."""
    try:
        # pid (name) state parent
        fields = Path(f"/proc/{report.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return int(fields[1]) == os.getppid() == report.parent
