"""Rules for the optimiser, stated by the layers that own the parameters.

They stand on the layers, not on the model, so that they survive its being cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lookalike.types import ParamRule


def change_rule(owner: nn.Module, parameter: str, **changes: Any) -> None:
    """Change the rule of one parameter, keeping what other rules say of it.

    Args:
        owner: The layer whose own parameter it is.
        parameter: Its name in the layer.
        **changes: Fields of :class:`~lookalike.types.ParamRule`.
    """
    rules: dict[str, ParamRule] = dict(getattr(owner, "param_rules", {}))
    rules[parameter] = replace(rules.get(parameter, ParamRule()), **changes)
    owner.param_rules = rules  # type: ignore[assignment]


def multiply_stage_lr(
    stages: Sequence[Iterable[nn.Module]], multipliers: Sequence[float] | None
) -> None:
    """Give every stage its factor on the learning rate.

    Args:
        stages: The modules of each stage, from the image on.
        multipliers: One per stage; None leaves all at 1.

    Raises:
        ValueError: If there are not as many factors as stages.
    """
    if multipliers is None:
        return
    if len(multipliers) != len(stages):
        raise ValueError(
            f"lr_multipliers: {len(stages)} numbers expected, one per stage (the stem first), got "
            f"{len(multipliers)}"
        )
    for stage, factor in zip(stages, multipliers, strict=True):
        for module in stage:
            for layer in module.modules():
                for name, _ in layer.named_parameters(recurse=False):
                    change_rule(layer, name, lr_multiplier=float(factor))


def no_decay_in_batch_norms(model: nn.Module) -> None:
    """Keep weight decay from scales and offsets of batch norms."""
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            for name, _ in layer.named_parameters(recurse=False):
                change_rule(layer, name, weight_decay=0.0)
