"""The machine a run is built on: its device, its cores, its random generators."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import numpy as np
import torch

from lookalike.errors import SetupError


def seed_everything(seed: int) -> None:
    """Seed the global random generators."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)  # noqa: NPY002
    torch.manual_seed(seed)


def choose_device(name: str, *, strict: bool, notes: list[str]) -> torch.device:
    """Return the device a YAML means, or the CPU with a note where it is not there.

    Raises:
        SetupError: If it is not there and ``strict`` is set.
    """
    kind, _, index = name.partition(":")
    wanted = {"gpu": "cuda", "intel_gpu": "xpu"}.get(kind, kind)
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "xpu": hasattr(torch, "xpu") and torch.xpu.is_available(),
    }
    if wanted == "cuda" and not index:
        # one process per GPU
        index = os.environ.get("LOCAL_RANK", "")
    if available.get(wanted, False):
        return torch.device(f"{wanted}:{index}" if index else wanted)
    if strict:
        raise SetupError(f"Global.device is '{name}', which this machine does not have.")
    notes.append(f"Global.device is '{name}', which this machine does not have: using the CPU.")
    return torch.device("cpu")


def worker_limit(notes: list[str]) -> Callable[[int], int]:
    """Return a function that lowers a number of workers to the machine's cores, with a note."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def limit(asked: int) -> int:
        if asked > cpus:
            note = f"num_workers: {asked} is more than this machine's {cpus} cores; using {cpus}."
            if note not in notes:
                notes.append(note)
        return min(asked, cpus)

    return limit
