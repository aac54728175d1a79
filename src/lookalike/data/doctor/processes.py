"""Many files through several processes, of which some may die or hang on a file."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

Result = TypeVar("Result")

SECONDS = 60.0
_CHUNK = 32
_POLL_SECONDS = 0.5


def over_files(
    function: Callable[[str], Result],
    files: Sequence[str],
    *,
    workers: int,
    lost: Callable[[str], Result],
    seconds: float = SECONDS,
) -> Iterator[tuple[int, Result]]:
    """Yield each file's number and what the function returns for it, in no particular order.

    A file on which a process dies or hangs costs that process, not the run.

    Args:
        function: Of a module, so that a process can find it; raises nothing.
        files: What it is called with.
        workers: Processes; 0 works in this one, without that protection.
        lost: Makes the result of such a file from what happened, in words.
        seconds: A process that needs longer for one file is ended.
    """
    if workers == 0:
        yield from ((number, function(file)) for number, file in enumerate(files))
        return
    todo = deque(range(0, len(files), _CHUNK))
    crew = [_Worker(function, files) for _ in range(min(workers, len(todo)))]
    try:
        busy = [worker for worker in crew if worker.take(todo)]
        while busy:
            ready = set(wait([worker.pipe for worker in busy], _POLL_SECONDS))
            for worker in list(busy):
                if worker.pipe in ready:
                    yield from worker.receive(lost)
                elif time.monotonic() - worker.since > seconds:
                    yield worker.give_up(lost(f"it was not read within {seconds:g} seconds"))
                if not worker.pending and not worker.take(todo):
                    busy.remove(worker)
    finally:
        for worker in crew:
            worker.stop()


class _Worker(Generic[Result]):
    """A process and the files it has been given and not yet answered."""

    def __init__(self, function: Callable[[str], Result], files: Sequence[str]) -> None:
        self.function, self.files = function, files
        self.pending: deque[int] = deque()
        self._start()

    def _start(self) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(
            target=_serve, args=(theirs, self.function, os.getpid()), daemon=True
        )
        self.process.start()
        theirs.close()

    def take(self, todo: deque[int]) -> bool:
        """Give the process the next files; say whether there were any."""
        if not todo:
            return False
        first = todo.popleft()
        self.pending = deque(range(first, min(first + _CHUNK, len(self.files))))
        self._send()
        return True

    def _send(self) -> None:
        self.since = time.monotonic()
        if self.pending:
            self.pipe.send([self.files[number] for number in self.pending])

    def receive(self, lost: Callable[[str], Result]) -> Iterator[tuple[int, Result]]:
        """Yield an answer, or what stands for it if the process is gone."""
        try:
            result = self.pipe.recv()
        except (EOFError, OSError):
            yield self.give_up(lost("the process that read it died"))
            return
        self.since = time.monotonic()
        yield self.pending.popleft(), result

    def give_up(self, result: Result) -> tuple[int, Result]:
        """Replace the process; go on behind the file it was at."""
        self.stop()
        number = self.pending.popleft()
        self._start()
        self._send()
        return number, result

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(pipe: Connection, function: Callable[[str], object], parent: int) -> None:
    """Answer lists of files, one answer per file, until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # decoders written in C say things there that mean nothing to the user
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        while True:
            # the pipe alone does not tell: brothers hold copies of its other end
            while not pipe.poll(_POLL_SECONDS):
                if os.getppid() != parent:
                    return
            for file in pipe.recv():
                pipe.send(function(file))
    except (EOFError, OSError):
        return
