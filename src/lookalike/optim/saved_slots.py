"""Whether the saved state of an optimiser fits the optimiser that is to continue from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from lookalike.optim.rms_prop import RMSProp

# one number for each parameter; all other slots have the parameter's shape
_STEP = "step"


@dataclass(frozen=True)
class _Slots:
    """What an optimiser keeps for each parameter.

    Attributes:
        setting: A setting that tells the optimiser from the others.
        needed: Without these it cannot continue.
        optional: Those that some settings add.
    """

    setting: str
    needed: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()


_ADAM = _Slots("betas", frozenset({_STEP, "exp_avg", "exp_avg_sq"}), frozenset({"max_exp_avg_sq"}))
_SLOTS: dict[type[torch.optim.Optimizer], _Slots] = {
    torch.optim.SGD: _Slots("dampening", optional=frozenset({"momentum_buffer"})),
    torch.optim.Adam: _ADAM,
    torch.optim.AdamW: _ADAM,
    RMSProp: _Slots("rho", frozenset({"square", "mean", "velocity"})),
}


def unfit_slots(optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]) -> dict[str, str]:
    """Say which parts of a saved state cannot be those of an optimiser.

    ``load_state_dict`` compares the number of parameters only, and fused kernels read as many
    numbers as the parameter has: a smaller tensor lets them read and write beyond its end.

    Args:
        optimizer: Receives the state.
        saved: As ``state_dict`` of an optimiser returned it.

    Returns:
        Place, such as ``0.momentum_buffer``, to what is wrong with it; empty if all fit.

    Example:
        >>> weight = torch.nn.Parameter(torch.zeros(2, 3))
        >>> optimizer = torch.optim.SGD([weight], momentum=0.9)
        >>> state = {"momentum_buffer": torch.zeros(3)}
        >>> unfit_slots(optimizer, {**optimizer.state_dict(), "state": {0: state}})
        {'0.momentum_buffer': 'has shape [3], the parameter has [2, 3]'}
    """
    rule = next((rule for kind, rule in _SLOTS.items() if isinstance(optimizer, kind)), None)
    if rule is None:
        return {}
    groups = saved["param_groups"]
    found = {
        f"group {number}": f"has no {rule.setting}, so another optimiser saved it"
        for number, group in enumerate(groups)
        if rule.setting not in group
    }
    if found:
        return found
    own = chain.from_iterable(group["params"] for group in optimizer.param_groups)
    indices = chain.from_iterable(group["params"] for group in groups)
    # other numbers of parameters are left to load_state_dict
    for index, parameter in zip(indices, own, strict=False):
        for name, reason in _unfit(rule, saved["state"].get(index) or {}, parameter).items():
            found[f"{index}.{name}"] = reason
    return found


def _unfit(rule: _Slots, slots: Mapping[str, Any], parameter: Tensor) -> dict[str, str]:
    found = dict.fromkeys(sorted(rule.needed - slots.keys()), "is missing") if slots else {}
    for name, value in slots.items():
        if name not in rule.needed | rule.optional:
            found[name] = "is of another optimiser"
        elif value is None and name in rule.optional:
            continue
        elif not isinstance(value, Tensor):
            found[name] = f"is of type {type(value).__name__}, not a tensor"
        elif name == _STEP and value.dim():
            found[name] = f"has shape {list(value.shape)}, not one number"
        elif name != _STEP and value.shape != parameter.shape:
            shapes = f"{list(value.shape)}, the parameter has {list(parameter.shape)}"
            found[name] = f"has shape {shapes}"
    return found
