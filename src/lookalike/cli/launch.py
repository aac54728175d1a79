"""``lookalike train --nproc N``: the same command in several processes of this machine."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from lookalike.errors import Interrupted, ProcessError

_OURS = ("--nproc", "--restarts")
_TOLD = range(1, 9)  # the exit codes of lookalike.errors


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
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

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
    )
    command = ["-m", "lookalike", *_without_ours(arguments)]
    if restarts:
        command.append("--resume-or-start")
    try:
        elastic_launch(config, sys.executable)(*command)
    except ChildFailedError as error:
        raise _ended(error, number) from error
    except SignalException as error:
        raise Interrupted(
            f"Stopped by {error.sigval.name}, and with it its {number} processes.",
            exit_code=130 if error.sigval.name == "SIGINT" else 75,
        ) from error


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


def _ended(error: Any, number: int) -> ProcessError | Interrupted:
    """Turn what the launcher saw into one message."""
    # an exit code is a process's own word; a signal may be what the others were ended by
    first = min(error.failures.items(), key=lambda one: (one[1].exitcode < 0, one[1].timestamp))
    rank, code = first[0], first[1].exitcode
    if code in (75, 130):
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
