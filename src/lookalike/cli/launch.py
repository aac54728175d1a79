"""``lookalike train --nproc N``: the same command in several processes of this machine."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import uuid4

from lookalike.errors import Interrupted, ProcessError

if TYPE_CHECKING:
    from lookalike.cli.forward_signals import RanksEnded

_OURS = ("--nproc", "--restarts")
_TOLD = range(1, 9)  # the exit codes of lookalike.errors
_SAVED = (75, 130)


def check_first(config: str, overrides: Sequence[str], allow_import: Sequence[str]) -> None:
    """Read the configuration once before several processes do, so its mistakes are told once.

    Raises:
        ConfigError: If it cannot be run.
    """
    from lookalike.assembly.load import load_run

    load_run(config, overrides, allow_import=allow_import)


def launch(arguments: Sequence[str], number: int, restarts: int) -> None:
    """Run the command in several processes, with PyTorch's elastic launcher.

    Args:
        arguments: Of the command, as they were given; those of the launch are left out.
        number: How many processes.
        restarts: How often all are started again after one has failed; any number but 0 makes them
            go on from the run folder's latest checkpoint, if there is one, the first time as well.

    Raises:
        ProcessError: If one of them failed; says which and how it ended.
        Interrupted: If they were asked to stop, and saved.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from lookalike.cli.forward_signals import RanksEnded, forwarding_signals

    # PyTorch remarks that every parameter was used; that is no news
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // number)))
    # what its log would say of processes that end is said by the error below
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=number,
        run_id=uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=restarts,
        monitor_interval=0.2,
        signals_to_handle="",
    )
    command = ["-m", "lookalike", *_without_ours(arguments)]
    if restarts and "--overwrite" not in command:
        command.append("--resume-or-start")
    try:
        with forwarding_signals():
            elastic_launch(config, sys.executable)(*command)
    except ChildFailedError as error:
        codes = [(rank, one.exitcode, one.timestamp) for rank, one in error.failures.items()]
        raise _ended(codes, number) from error
    except RanksEnded as ended:
        if not ended.codes or any(ended.codes):
            raise _stopped(ended, number) from None


def _stopped(ended: RanksEnded, number: int) -> ProcessError | Interrupted:
    """Return what to raise after a signal to the launcher; 75 and 130 mean saved, as of a rank."""
    codes = [(rank, code, 0) for rank, code in enumerate(ended.codes) if code]
    if any(code > 0 for _, code, _ in codes):
        return _ended(codes, number)
    return Interrupted(
        f"Stopped by {ended.signal.name}; the {number} processes had nothing to save yet, or could "
        "not save. --resume goes on from the last checkpoint, if there is one.",
        exit_code=128 + ended.signal,
    )


def _without_ours(arguments: Sequence[str]) -> list[str]:
    kept, skipping = [], False
    for argument in arguments:
        if skipping:
            skipping = False
        elif argument in _OURS:
            skipping = True
        elif not argument.startswith(tuple(f"{name}=" for name in _OURS)):
            kept.append(argument)
    return kept


def _ended(codes: Sequence[tuple[int, int, int]], number: int) -> ProcessError | Interrupted:
    """Turn ranks, how they ended and when into one message."""
    # an exit code is a process's own word; a signal may be what the others were ended by
    rank, code, _ = min(codes, key=lambda one: (one[1] < 0, one[2]))
    if code in _SAVED:
        event = Interrupted(f"All {number} processes have stopped.", exit_code=code)
        event.told = True
        return event
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    found = ProcessError(
        f"process {rank} of {number} {how}; the others were ended with it. Go on with --resume; "
        "--restarts N does so by itself.",
        exit_code=code if code > 0 else None,
    )
    # it has said what is wrong
    found.told = code in _TOLD
    return found
