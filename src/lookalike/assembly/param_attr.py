"""``weight_attr`` and ``bias_attr`` of necks and heads: initial values, learning rate, decay.

The grammar is PaddleClas's: ``False`` (no such parameter), ``True``, or a mapping with
``initializer: {name, ...}``, ``learning_rate`` (a multiplier) and ``regularizer: {name, coeff}``.
Two initialisers of our own, ``LDA`` and ``ClassMeans``, are fitted to the training images before
the first step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lookalike.assembly.initializers import INITIALIZERS
from lookalike.assembly.signatures import check_arguments, signature_of
from lookalike.errors import nearest
from lookalike.models.sharded import Rows
from lookalike.types import ParamRule

_FROM_DATA = {"neck": ("LDA",), "head": ("ClassMeans",)}


@dataclass(frozen=True)
class DataInit:
    """An initialiser that needs the training images."""

    kind: Literal["neck", "head"]
    name: str
    args: dict[str, Any]


@dataclass(frozen=True)
class ParamAttr:
    """What one of the two attributes asks for.

    Attributes:
        exists: False leaves the parameter out.
        initialise: Fills it; None keeps the module's own start.
        rule: How the optimiser treats it; None as all others.
        from_data: Fitted before the first step.
    """

    exists: bool = True
    initialise: Callable[[Tensor], None] | None = None
    rule: ParamRule | None = None
    from_data: DataInit | None = None


def read_param_attr(kind: str, value: Any) -> tuple[ParamAttr, list[tuple[str, str]]]:
    """Read an attribute; return it with (key, message) for each mistake."""
    if value is None or isinstance(value, bool):
        return ParamAttr(exists=value is not False), []
    if not isinstance(value, Mapping):
        return ParamAttr(), [("", f"True, False or a mapping expected; got {value!r}.")]
    known = ("initializer", "learning_rate", "regularizer", "name", "trainable", "need_clip")
    problems = [(key, f"unknown key.{nearest(key, known)}") for key in value if key not in known]
    rule, more = _rule(value)
    problems += more
    initialise, from_data = None, None
    if value.get("initializer") is not None:
        initialise, from_data, more = _initializer(kind, value["initializer"])
        problems += [(f"initializer.{key}" if key else "initializer", text) for key, text in more]
    return ParamAttr(True, initialise, rule, from_data), problems


def apply_param_attr(module: nn.Module, which: Literal["weight", "bias"], attr: ParamAttr) -> None:
    """Fill the module's parameters of that name and note their rules."""
    rules: dict[str, ParamRule] = dict(getattr(module, "param_rules", {}))
    for name, parameter in module.named_parameters():
        if name.rpartition(".")[2] != which:
            continue
        if attr.initialise is not None:
            _initialise(parameter, attr.initialise, getattr(module, "sharded", {}).get(name))
        if attr.rule is not None:
            rules[name] = attr.rule
    if rules:
        module.param_rules = rules  # type: ignore[assignment]


@torch.no_grad()
def _initialise(tensor: Tensor, fill: Callable[[Tensor], None], rows: Rows | None) -> None:
    """Fill a parameter; of one whose rows are dealt to processes, all are drawn and some kept."""
    if rows is None:
        fill(tensor)
        return
    whole = tensor.new_empty(rows.total, *tensor.shape[1:])
    fill(whole)
    tensor.copy_(whole[rows.start : rows.stop])


def _rule(value: Mapping[str, Any]) -> tuple[ParamRule | None, list[tuple[str, str]]]:
    multiplier = value.get("learning_rate", 1.0)
    if not _is_number(multiplier):
        return None, [("learning_rate", f"a number expected; got {multiplier!r}.")]
    if value.get("trainable") is False:
        multiplier = 0.0
    regularizer = value.get("regularizer")
    if regularizer is None:
        return (ParamRule(float(multiplier)) if multiplier != 1.0 else None), []
    kinds = {"L1Decay": "L1", "L2Decay": "L2", "L1": "L1", "L2": "L2"}
    name = regularizer.get("name") if isinstance(regularizer, Mapping) else None
    if not isinstance(name, str) or name not in kinds:
        return None, [("regularizer", f"name must be L1Decay or L2Decay; got {name!r}.")]
    coeff = regularizer.get("coeff", 0.0)
    if not _is_number(coeff):
        return None, [("regularizer.coeff", f"a number expected; got {coeff!r}.")]
    return ParamRule(float(multiplier), float(coeff), kinds[name]), []


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def _initializer(
    kind: str, spec: Any
) -> tuple[Callable[[Tensor], None] | None, DataInit | None, list[tuple[str, str]]]:
    name = spec.get("name") if isinstance(spec, Mapping) else None
    args = {k: v for k, v in spec.items() if k != "name"} if isinstance(spec, Mapping) else {}
    if not isinstance(name, str):
        name = str(name)
    if name in _FROM_DATA.get(kind, ()):
        return None, DataInit(kind, name, args), []  # type: ignore[arg-type]
    if name not in INITIALIZERS:
        known = [*INITIALIZERS, *_FROM_DATA.get(kind, ())]
        return None, None, [
            ("name", f"no initializer is called {name!r}.{nearest(str(name), known)} "
             f"Known: {', '.join(known)}.")
        ]  # fmt: skip
    fill = INITIALIZERS[name]
    converted, problems = check_arguments(signature_of(fill), args, runtime=["tensor"])
    return (lambda tensor: fill(tensor, **converted)), None, problems
