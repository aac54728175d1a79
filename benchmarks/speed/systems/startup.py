"""Whole processes, by the processor time of the children of this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.speed.plan import Where
from benchmarks.speed.work import Work

Sizes = Mapping[str, Any]


def _process(*arguments: str) -> Work:
    command = [sys.executable, *arguments]

    def call() -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines() or [f"exit {done.returncode}"]
            raise RuntimeError(" ".join(last[-3:]))

    return Work(call, whose="children")


def show_help(sizes: Sizes, where: Where) -> Work:
    """Print the help."""
    return _process("-m", "lookalike", "--help")


def check(sizes: Sizes, where: Where) -> Work:
    """Check the YAML of the seed document, model and lists included."""
    return _process("-m", "lookalike", "check", "-c", str(Path(where.folder) / "seed.yaml"))


def list_heads(sizes: Sizes, where: Where) -> Work:
    """List the heads."""
    return _process("-m", "lookalike", "list", "heads")


def bare(sizes: Sizes, where: Where) -> Work:
    """Start the interpreter."""
    return _process("-c", "pass")


def import_torch(sizes: Sizes, where: Where) -> Work:
    """Import torch."""
    return _process("-c", "import torch")


def import_torchvision(sizes: Sizes, where: Where) -> Work:
    """Import torchvision, with torch."""
    return _process("-c", "import torchvision")


def import_pml(sizes: Sizes, where: Where) -> Work:
    """Import what a training script takes from PML."""
    return _process("-c", "from pytorch_metric_learning import losses, miners, samplers")


def import_oml(sizes: Sizes, where: Where) -> Work:
    """Import what a training script takes from OML."""
    return _process("-c", "import oml.losses, oml.metrics, oml.miners, oml.samplers, oml.models")


def import_ppcls(sizes: Sizes, where: Where) -> Work:
    """Import PaddleClas's packages of models, losses and data."""
    found = find_spec("paddleclas")
    if found is None or found.origin is None:
        raise ImportError("not installed: paddleclas")
    folder = os.path.dirname(found.origin)
    return _process("-c", f"import sys; sys.path.insert(0, {folder!r}); import ppcls")
