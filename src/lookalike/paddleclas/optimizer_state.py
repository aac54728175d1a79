"""What the reference saves beside weights: its optimisers' state and how far the run was."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lookalike.errors import CheckpointError, cut
from lookalike.paddleclas.pickles import read_pickle

_SLOT = re.compile(
    r"(.+?)(?:_fp32_master_\d+)?_(velocity|moment1|moment2|beta1_pow_acc|beta2_pow_acc|momentum"
    r"|mean_square|mean_grad)_\d+"
)
_SCHEDULE = "LR_Scheduler"


@dataclass(frozen=True)
class OptimizerState:
    """One optimiser of the reference.

    Attributes:
        slots: Parameter, by the reference's running number, to its arrays by slot.
        last_rate: Learning rate of the next step, if it was stored.
    """

    slots: dict[str, dict[str, Any]] = field(default_factory=dict)
    last_rate: float | None = None


@dataclass(frozen=True)
class Progress:
    """How far a run of the reference was.

    Attributes:
        epoch: Epochs done.
        metric: What this checkpoint scored, if it was measured.
    """

    epoch: int
    metric: float | None


def read_optimizers(path: Path) -> list[OptimizerState]:
    """Read a ``.pdopt`` file.

    Raises:
        CheckpointError: If it is missing, damaged, or of a kind that is not known here.
    """
    content = read_pickle(path)
    states = content if isinstance(content, list) else [content]
    return [_optimizer(path, state) for state in states]


def _optimizer(path: Path, state: Any) -> OptimizerState:
    if not isinstance(state, Mapping):
        raise CheckpointError(f"{path}: holds a {type(state).__name__}, not an optimiser's state.")
    schedule = state.get(_SCHEDULE)
    rate = schedule.get("last_lr") if isinstance(schedule, Mapping) else None
    slots: dict[str, dict[str, Any]] = {}
    for key, value in state.items():
        if key in (_SCHEDULE, "master_weights"):
            continue
        match = _SLOT.fullmatch(str(key))
        array = value[1] if isinstance(value, tuple) and len(value) == 2 else value
        if match is None or not hasattr(array, "dtype"):
            raise CheckpointError(
                f"{path}: {cut(str(key))} is no state of an optimiser known here."
            )
        slots.setdefault(match[1], {})[match[2]] = array
    return OptimizerState(slots, float(rate) if isinstance(rate, int | float) else None)


def read_progress(path: Path) -> Progress:
    """Read a ``.pdstates`` file.

    Raises:
        CheckpointError: If it is missing, damaged, or does not tell the epoch.
    """
    content = read_pickle(path)
    epoch = content.get("epoch") if isinstance(content, Mapping) else None
    if not isinstance(epoch, int) or epoch < 0:
        raise CheckpointError(f"{path}: does not tell how many epochs the run has done.")
    metric = content.get("metric")
    # the reference stores 0 where it has not measured
    return Progress(epoch, float(metric) if isinstance(metric, int | float) and metric else None)
