"""Which parts of model and loss an optimiser of a list moves."""

from __future__ import annotations

import re

from torch import nn

from lookalike.errors import ConfigError, nearest
from lookalike.losses import WeightedSum

WHOLE_MODEL = ("RecModel", "DistillationModel")

_KINDS: dict[type[nn.Module], str] = {
    nn.Conv2d: "conv",
    nn.Linear: "fc",
    nn.BatchNorm1d: "feat_bn",
    nn.BatchNorm2d: "batch_norm",
    nn.InstanceNorm2d: "instance_norm",
}


def modules_in_scope(scope: str, model: nn.Module, loss: nn.Module) -> list[nn.Module]:
    """Return the modules whose parameters a scope means.

    ``all`` is everything; ``RecModel`` the model; a name that ends in ``Loss`` the losses of that
    name; ``backbone``, ``neck`` or ``head`` that part of the model; anything else is a regular
    expression for the dotted names of modules that own parameters.

    Args:
        scope: As the YAML has it.
        model: The model.
        loss: The weighted sum of losses.

    Raises:
        ConfigError: If nothing is in scope.
    """
    if scope == "all":
        return [model, loss]
    if scope in (*WHOLE_MODEL, type(model).__name__):
        return [model]
    found: list[nn.Module] = []
    if scope.endswith("Loss"):
        found = _losses(scope, model, loss)
    elif isinstance(part := getattr(model, scope, None), nn.Module):
        found = [part]
    else:
        found = _matching(scope, model)
    if not any(True for module in found for _ in module.parameters()):
        known = ["all", "RecModel", *(name for name, _ in model.named_children())]
        known += list(loss.losses) if isinstance(loss, WeightedSum) else []
        raise ConfigError(
            f"the optimizer scope '{scope}' holds no parameter.{nearest(scope, known)} Known: "
            f"{', '.join(known)}; or a regular expression for module names."
        )
    return found


def _losses(scope: str, model: nn.Module, loss: nn.Module) -> list[nn.Module]:
    parts = [*model.modules(), *loss.modules()]
    named = [module for module in parts if type(module).__name__ == scope]
    if isinstance(loss, WeightedSum):
        named += [one for name, one in loss.losses.items() if name == scope]
    return named


def _matching(scope: str, model: nn.Module) -> list[nn.Module]:
    try:
        pattern = re.compile(scope)
    except re.error as error:
        raise ConfigError(f"the optimizer scope '{scope}' is no pattern ({error}).") from error
    found = []
    for name, module in model.named_modules():
        owns = any(True for _ in module.parameters(recurse=False))
        if owns and pattern.fullmatch(name):
            found.append(module)
        elif owns and any(pattern.fullmatch(f"{name}.{kind}") for kind in _kinds(module)):
            found.append(_own_parameters(module))
    return found


def _kinds(module: nn.Module) -> list[str]:
    """Return what the reference calls a layer of this kind: it names layers by what they are."""
    named = [kind for layer, kind in _KINDS.items() if isinstance(module, layer)]
    return [*named, *(name for name, _ in module.named_parameters(recurse=False) if name == "gate")]


def _own_parameters(module: nn.Module) -> nn.Module:
    """Return a module with this one's own parameters, without those of its children."""
    own = nn.Module()
    for name, parameter in module.named_parameters(recurse=False):
        own.register_parameter(name, parameter)
    own.param_rules = getattr(module, "param_rules", {})  # type: ignore[assignment]
    return own
