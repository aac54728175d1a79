"""The time for which several processes are one run: they meet, are watched, and end as one."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lookalike import processes
from lookalike.assembly.load import Run
from lookalike.errors import Interrupted, LookalikeError, ProcessError
from lookalike.place import at
from lookalike.training.watchdog import Watchdog

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

# how long a process whose partner has gone waits for the launcher to end it: so only one speaks
_PATIENCE = 10.0
# what gloo, NCCL and the store say when the other end is not there any more, or does not answer
_LOST = re.compile(
    r"connection (closed|reset|refused)|broken pipe|gloo|nccl|timed? ?out|socket|"
    r"tcpstore|failed to (send|recv)|recvValue|peer",
    re.IGNORECASE,
)


@contextmanager
def together(run: Run, device: torch.device) -> Iterator[None]:
    """Meet the other processes that a launcher started, for the time of a ``with``; or be alone.

    Raises:
        ProcessError: If another process has gone meanwhile.
    """
    if not processes.launched():
        yield
        return
    settings = run.config.Global
    # the watchdog speaks first, knows who it is, and lets processes wait for one that moves
    wait = 2.0 * settings.process_timeout + 60.0
    try:
        with processes.joined(device, wait) as store:
            watchdog = Watchdog(
                store,
                processes.rank(),
                processes.count(),
                timeout=settings.process_timeout,
                folder=Path(settings.output_dir),
            )
            with watchdog, _one_voice(store, watchdog):
                at("starting")
                yield
    except RuntimeError as error:
        if not _LOST.search(str(error)):
            raise
        _leave_the_word_to_the_launcher()
        raise ProcessError(
            "another process of the run has gone or does not answer, so this one has ended too; "
            f"what it said, or its launcher, tells why ({_shortened(error)}). Go on with --resume."
        ) from error


@contextmanager
def _one_voice(store: Store, watchdog: Watchdog) -> Iterator[None]:
    """Let one process tell what all of them have to tell."""
    try:
        yield
    except LookalikeError as error:
        key = f"told/{sha256(str(error).encode()).hexdigest()}"
        try:
            # one that the launcher stopped because another has gone has nothing to tell
            gone = isinstance(error, Interrupted) and watchdog.gone()
            error.told = error.told or bool(gone) or store.add(key, 1) > 1
        except RuntimeError:
            error.told = False
        raise


def _leave_the_word_to_the_launcher() -> None:
    if "TORCHELASTIC_RUN_ID" in os.environ:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        time.sleep(_PATIENCE)


def _shortened(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
