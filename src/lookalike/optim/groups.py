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
    rules_add: bool = False,
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
        rules_add: A parameter's own decay does not replace ``weight_decay`` but is added to its
            gradient, by :class:`ScheduledOptimizer`; for optimisers whose decay is not part of
            the gradient.
    """
    groups: dict[tuple[float, ...], dict[str, Any]] = {}
    seen: set[int] = set()
    for module in modules:
        rules = collect_rules(module)
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            rule = rules.get(name, ParamRule())
            exempt = one_dimensional_no_decay and parameter.ndim <= 1
            spared = exempt or any(part in name for part in no_decay)
            settings = {"lr_multiplier": rule.lr_multiplier}
            settings |= _decay(rule, 0.0 if spared else weight_decay, decay_kind, rules_add, spared)
            group = groups.setdefault(tuple(settings.values()), {"params": [], **settings})
            group["params"].append(parameter)
    return list(groups.values())


def _decay(
    rule: ParamRule, weight_decay: float, kind: str, rules_add: bool, spared: bool
) -> dict[str, float]:
    """Return the optimiser's own decay of a parameter, and what is added to its gradient."""
    decay, own = {"weight_decay": 0.0, "l1": 0.0, "l2": 0.0}, rule.weight_decay
    if own is not None and rules_add:
        decay["l1" if rule.decay_kind == "L1" else "l2"] = own
    elif own is not None and not spared:
        weight_decay, kind = own, rule.decay_kind
    decay["l1" if kind == "L1" else "weight_decay"] += weight_decay
    return decay
