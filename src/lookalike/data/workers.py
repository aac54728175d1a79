"""Worker processes that read images, and a watch over them.

A worker may be killed (the system does that when memory runs out), may crash in a decoder, or may
wait for ever on a file. Its images would then never arrive. The main process sees which image each
worker is at, so it can end the wait and name the file.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from typing import Any

from torch.utils.data import DataLoader, get_worker_info

from lookalike.errors import SetupError

DEFAULT_TIMEOUT = 600.0
# a wait is looked into so often, in seconds
LOOK = 1
_TIMED_OUT = f"DataLoader timed out after {LOOK} seconds"
_CRASHES = {signal.SIGSEGV, signal.SIGILL, signal.SIGABRT, signal.SIGFPE}
_BUS_ERROR = getattr(signal, "SIGBUS", None)


class Desks:
    """What each worker is reading, in memory that the main process sees.

    Args:
        number: Workers.

    Example:
        >>> desks = Desks(1)
        >>> desks.put(0, 41)
        >>> desks.image(0), desks.process(0) == os.getpid()
        (41, True)
        >>> desks.put(0, None)
        >>> desks.image(0) is None
        True
    """

    def __init__(self, number: int) -> None:
        # process, image + 1 (0: none), nanoseconds of the clock that all processes share
        self.cells: Any = multiprocessing.RawArray("q", 3 * number)
        self.number = number

    def note(self, image: int | None) -> None:
        """Say from within a worker which image it begins to read; None when a batch is done."""
        info = get_worker_info()
        if info is not None:
            self.put(info.id, image)

    def put(self, worker: int, image: int | None) -> None:
        """Say which image a worker is at."""
        new = os.getpid(), 0 if image is None else image + 1, time.monotonic_ns()
        self.cells[3 * worker : 3 * worker + 3] = new

    def process(self, worker: int) -> int:
        """Return a worker's process; 0 before its first image."""
        return int(self.cells[3 * worker])

    def image(self, worker: int) -> int | None:
        """Return the image a worker is reading."""
        return int(self.cells[3 * worker + 1]) - 1 if self.cells[3 * worker + 1] else None

    def since(self, worker: int) -> float:
        """Return when the worker last said something, in seconds of :func:`time.monotonic`."""
        return int(self.cells[3 * worker + 2]) / 1e9


class WatchedLoader:
    """A loader with workers whose batches come, or an error that says why not.

    Args:
        loader: With workers and the timeout ``LOOK``; its data set has the attribute ``desks`` and
            notes there what it reads.
        name: Data-set index to file.
        timeout: Seconds an image may take, or all workers together may be silent while a batch is
            waited for; 0 waits for ever.

    Raises:
        SetupError: From the iterator: a worker is dead or hangs. All its workers are gone then.
    """

    def __init__(
        self, loader: DataLoader[Any], name: Callable[[int], str], timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        self.loader, self.name, self.timeout = loader, name, timeout

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        data: Any = self.loader.dataset
        data.desks = desks = Desks(self.loader.num_workers)
        others = set(multiprocessing.active_children())
        try:
            with _no_signal_handler():
                batches = iter(self.loader)
        except OSError as error:
            raise SetupError(
                f"data workers cannot be started ({error.strerror}): lower loader.num_workers."
            ) from error
        workers = [one for one in multiprocessing.active_children() if one not in others]
        watch = _Watch(desks, workers, self.name, self.timeout)
        while True:
            asked = time.monotonic()
            while True:
                # before each batch, so that it shows at once and not when what is ready is used up
                watch.find_dead()
                try:
                    batch = next(batches)
                    break
                except StopIteration:
                    return
                except (RuntimeError, OSError, EOFError) as error:
                    watch.explain(error)
                watch.find_hanging(asked)
            yield batch


class _Watch:
    """Tells what is wrong with the workers of one pass over the data."""

    def __init__(
        self, desks: Desks, workers: list[BaseProcess], name: Callable[[int], str], timeout: float
    ) -> None:
        self.desks, self.name, self.timeout = desks, name, timeout
        self.workers = workers

    def find_dead(self) -> None:
        for process in self.workers:
            if process.exitcode is not None:
                text = f"{self._who(process)} {_how(process.exitcode)}"
                advice = _advice(process.exitcode)
                self._end(f"{text} while {self._doing(process)}. {advice}")

    def find_hanging(self, asked: float) -> None:
        if not self.timeout:
            return
        now, moved = time.monotonic(), asked
        for worker in range(self.desks.number):
            since = self.desks.since(worker)
            moved = max(moved, since)
            image = self.desks.image(worker)
            if image is not None and now - since > self.timeout:
                self._end(
                    f"data worker {worker} (process {self.desks.process(worker)}) has been reading "
                    f"{self.name(image)} for {now - since:.0f} seconds, and Global.data_timeout "
                    f"allows {self.timeout:g}. Does the disk or the network share answer? Raise "
                    "data_timeout for images that take so long; 0 waits for ever."
                )
        if now - moved > self.timeout:
            self._end(
                f"no data worker has read anything for {now - moved:.0f} seconds, and "
                f"Global.data_timeout allows {self.timeout:g}. A library may have locked up when "
                "the workers were started: try loader.num_workers: 0."
            )

    def explain(self, error: Exception) -> None:
        """Turn torch's error into one that says more; return if it was only a wait."""
        if str(error) == _TIMED_OUT:
            return
        self.find_dead()
        if not isinstance(error, RuntimeError):
            # a worker that sent a batch is dying while its memory is asked for
            for _ in range(50):
                time.sleep(0.1)
                self.find_dead()
            self._end(f"a data worker does not answer ({type(error).__name__}: {error}).")
        if "Too many open files" in str(error):
            self._end(
                "too many files are open, so data workers cannot pass on their batches: raise the "
                "limit (ulimit -n 65536), or lower num_workers or prefetch_factor."
            )
        raise error

    def _who(self, process: BaseProcess) -> str:
        worker = self._worker(process)
        number = "" if worker is None else f" {worker}"
        return f"data worker{number} (process {process.pid})"

    def _doing(self, process: BaseProcess) -> str:
        worker = self._worker(process)
        image = None if worker is None else self.desks.image(worker)
        return "it was reading no image" if image is None else f"reading {self.name(image)}"

    def _worker(self, process: BaseProcess) -> int | None:
        numbers = range(self.desks.number)
        return next((n for n in numbers if self.desks.process(n) == process.pid), None)

    def _end(self, message: str) -> None:
        """End all workers, who would otherwise be waited for, and say why."""
        for process in self.workers:
            # a handler that torch has set elsewhere complains of the very kill
            with suppress(RuntimeError):
                process.kill()
        for process in self.workers:
            with suppress(RuntimeError):
                process.join(1.0)
        raise SetupError(message)


@contextmanager
def _no_signal_handler() -> Iterator[None]:
    """Keep torch from raising an error of a dead worker in the midst of whatever runs then.

    The watch finds it at the next batch, where a run can still be saved.
    """
    main = threading.current_thread() is threading.main_thread()
    known = signal.getsignal(signal.SIGCHLD) if main and hasattr(signal, "SIGCHLD") else None
    try:
        yield
    finally:
        if known is not None:
            signal.signal(signal.SIGCHLD, known)


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


def _advice(code: int) -> str:
    if -code == _BUS_ERROR:
        return (
            "That is how it ends when /dev/shm is full: enlarge it (docker run --shm-size=8g), or "
            "lower num_workers, prefetch_factor or batch_size."
        )
    if -code in _CRASHES:
        return (
            "A decoder or a transform crashed, probably of this file: lookalike check --data reads "
            "every image and names those that are broken."
        )
    if -code == getattr(signal, "SIGKILL", 9):
        return (
            "Systems do that when memory runs out: lower num_workers, prefetch_factor or "
            "batch_size, or give the job more memory."
        )
    return "loader.num_workers: 0 reads images without workers, and shows what happens."
