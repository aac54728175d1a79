"""Parameters sorted by how they are to be treated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from lookalike.types import ParamRule


def collect_rules(module: nn.Module) -> dict[str, ParamRule]:
    """Return the rules all submodules state in ``param_rules``, by full parameter name."""
    rules: dict[str, ParamRule] = {}
    for prefix, child in module.named_modules():
        for name, rule in getattr(child, "param_rules", {}).items():
            rules[f"{prefix}.{name}" if prefix else name] = rule
    return rules


def parameter_groups(
    modules: Iterable[nn.Module],
    *,
    weight_decay: float = 0.0,
    decay_kind: str = "L2",
    no_decay: Iterable[str] = (),
    one_dimensional_no_decay: bool = False,
) -> list[dict[str, Any]]:
    """Return groups for a torch optimiser: parameters that share multiplier and decay.

    Frozen parameters are left out; a parameter reached twice is taken once.

    Args:
        modules: Whose parameters.
        weight_decay: Coefficient for parameters without a rule of their own.
        decay_kind: ``L2`` or ``L1``; L1 goes into the group's ``l1`` and is applied by
            :class:`ScheduledOptimizer`.
        no_decay: Parts of parameter names that are not decayed.
        one_dimensional_no_decay: Do not decay biases and scales.
    """
    groups: dict[tuple[float, float, float], dict[str, Any]] = {}
    seen: set[int] = set()
    for module in modules:
        rules = collect_rules(module)
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            rule = rules.get(name, ParamRule())
            decay, kind = weight_decay, decay_kind
            if rule.weight_decay is not None:
                decay, kind = rule.weight_decay, rule.decay_kind
            exempt = one_dimensional_no_decay and parameter.ndim <= 1
            if exempt or any(part in name for part in no_decay):
                decay = 0.0
            l2, l1 = (decay, 0.0) if kind == "L2" else (0.0, decay)
            group = groups.setdefault(
                (rule.lr_multiplier, l2, l1),
                {"params": [], "lr_multiplier": rule.lr_multiplier, "weight_decay": l2, "l1": l1},
            )
            group["params"].append(parameter)
    return list(groups.values())
