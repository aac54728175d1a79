"""``lookalike train --nproc N``: the same command in several processes of this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from lookalike.errors import Interrupted, ProcessError

_OURS = ("--nproc", "--restarts")


def launch(arguments: Sequence[str], number: int, restarts: int) -> None:
    """Run the command in several processes, with PyTorch's elastic launcher.

    Args:
        arguments: Of the command, as they were given; those of the launch are left out.
        number: How many processes.
        restarts: How often all are started again after one has failed; they go on from the last
            checkpoint.

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
    rank, failure = error.get_first_failure()
    code = failure.exitcode
    if code in (75, 130):
        return Interrupted(f"All {number} processes have stopped.", exit_code=code)
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return ProcessError(
        f"process {rank} of {number} {how}; the others were ended with it. What it said stands "
        "above. Go on with --resume; --restarts N does so by itself.",
        exit_code=code if code > 0 else None,
    )
