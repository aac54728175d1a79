"""Whether the tensors of a checkpoint have types, shapes and values that a run can go on from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lookalike.errors import CheckpointError
from lookalike.models.loading import compared
from lookalike.models.weight_numbers import has_nan, other_kind
from lookalike.optim.saved_slots import unfit_slots
from lookalike.training.update import Update

_SHOWN = 5


def check_module(module: nn.Module, saved: Mapping[str, Tensor], source: str) -> None:
    """Refuse a saved state of a module whose tensors have other types, or are not finite.

    Missing keys and other shapes are left to ``load_state_dict``.

    Raises:
        CheckpointError: Names the first tensors.
    """
    report = compared(module.state_dict(), saved, source)
    _refuse(source, {**report.other_type, **report.bad_numbers})


def check_update(update: Update, saved: Mapping[str, Any], source: str) -> None:
    """Refuse a saved state of an update whose tensors do not fit, or are not finite.

    The state of an optimiser must be of the same optimiser and have the shapes of the parameters.
    Optimisers may hold infinite squares of gradients; NaN is refused.

    Raises:
        CheckpointError: Names the first tensors.
    """
    check_module(update.loss, saved["loss"], f"{source}: loss")
    if update.averaged is not None and saved["averaged"] is not None:
        check_module(update.averaged, saved["averaged"], f"{source}: averaged model")
    found = {}
    pairs = zip(update.optimizers, saved["optimizers"], strict=True)
    for number, (own, one) in enumerate(pairs):
        for place, reason in unfit_slots(own.optimizer, one["optimizer"]).items():
            found[f"optimizers.{number}.{place}"] = reason
        for index, slots in one["optimizer"]["state"].items():
            for name, value in slots.items():
                reason = _reason(value) if isinstance(value, Tensor) else ""
                if reason:
                    found[f"optimizers.{number}.{index}.{name}"] = reason
    _refuse(f"{source}: optimiser", found)


def _reason(value: Tensor) -> str:
    return other_kind(value, torch.empty(0)) or ("holds NaN" if has_nan(value) else "")


def _refuse(source: str, reasons: Mapping[str, str]) -> None:
    if not reasons:
        return
    first = [f"{key} {reason}" for key, reason in list(reasons.items())[:_SHOWN]]
    more = f"; and {len(reasons) - _SHOWN:,} more" if len(reasons) > _SHOWN else ""
    raise CheckpointError(f"{source}: {'; '.join(first)}{more}. A run cannot go on from these.")
