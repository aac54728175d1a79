"""Each kind of component from its spec: what the YAML says beside the constructor's arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from lookalike.assembly.beside import beside_of
from lookalike.assembly.dialect import drop_ignored, translate_component
from lookalike.assembly.param_attr import DataInit, ParamAttr, apply_param_attr, read_param_attr
from lookalike.assembly.prepare import require
from lookalike.config import ComponentSpec
from lookalike.config.specs import OptimizerSpec
from lookalike.errors import ComponentError
from lookalike.losses import WeightedSum
from lookalike.optim import Schedule, ScheduledOptimizer, parameter_groups


def make_gear(
    kind: str, spec: ComponentSpec, allow_import: Sequence[str] = ()
) -> tuple[nn.Module, DataInit | None]:
    """Build a neck or head; return with it the initialiser that waits for the data, if any."""
    ready = require(kind, spec, allow_import)
    given, _ = drop_ignored(kind, spec.name, spec.args)
    attrs: dict[str, ParamAttr] = {
        which: read_param_attr(kind, given.get(f"{which}_attr"))[0] for which in ("weight", "bias")
    }
    module: nn.Module = ready.make(**{w: False for w, attr in attrs.items() if not attr.exists})
    try:
        apply_param_attr(module, "weight", attrs["weight"])
        apply_param_attr(module, "bias", attrs["bias"])
    except (TypeError, ValueError) as error:  # an initialiser that does not fit the shape
        raise ComponentError(kind, spec.name, str(error)) from error
    return module, attrs["weight"].from_data


def make_loss(specs: Sequence[ComponentSpec], allow_import: Sequence[str] = ()) -> WeightedSum:
    """Build the weighted sum of losses; a name used twice gets a number in the log.

    PaddleClas logs some losses under another name than the YAML has; so does this.
    """
    losses: dict[str, nn.Module] = {}
    weights: list[float] = []
    gathers: list[str] = []
    for spec in specs:
        logged = translate_component("loss", spec.name, {}).logged or spec.name.replace(".", "_")
        name, number = logged, 2
        while name in losses:
            name, number = f"{logged}_{number}", number + 1
        losses[name] = require("loss", spec, allow_import).make()
        beside = beside_of("loss", spec.args)[0]
        weights.append(beside.get("weight", 1.0))
        # a memory must be the same in every process, so it sees what all of them embed
        if beside.get("gather", getattr(losses[name], "remembers", False)):
            gathers.append(name)
    return WeightedSum(losses, weights, gathers)


def make_metrics(specs: Sequence[ComponentSpec], allow_import: Sequence[str] = ()) -> list[Any]:
    """Build metrics."""
    return [require("metric", spec, allow_import).make() for spec in specs]


def make_schedule(
    lr: Mapping[str, Any] | float,
    *,
    epochs: int,
    steps_per_epoch: int,
    allow_import: Sequence[str] = (),
) -> Schedule:
    """Build a schedule; a number, or a mapping without a name, keeps the learning rate."""
    spec = schedule_spec(lr)
    ready = require("schedule", spec, allow_import)
    schedule: Schedule = ready.make(epochs=epochs, steps_per_epoch=steps_per_epoch)
    return schedule


def _spares_one_dimensional(name: str, args: Mapping[str, Any]) -> bool:
    """Tell whether biases and scales are not decayed.

    As in the reference, Momentum looks at the flag only when it has names to spare as well.
    """
    asked = bool(args.get("one_dim_param_no_weight_decay", False))
    return asked and (name != "Momentum" or bool(args.get("no_weight_decay_name")))


def schedule_spec(lr: Mapping[str, Any] | float) -> ComponentSpec:
    """Bring the ways to write a schedule into one."""
    if not isinstance(lr, Mapping):
        return ComponentSpec.of("Constant", {"learning_rate": lr})
    args = {key: value for key, value in lr.items() if key != "name"}
    return ComponentSpec.of(str(lr.get("name") or "Constant"), args)


def make_optimizer(
    spec: OptimizerSpec,
    modules: Iterable[nn.Module],
    *,
    epochs: int,
    steps_per_epoch: int,
    allow_import: Sequence[str] = (),
) -> ScheduledOptimizer:
    """Build an optimiser over the parameters of modules, with its schedule."""
    ready = require("optimizer", ComponentSpec.of(spec.name, spec.args), allow_import)
    args = beside_of("optimizer", spec.args)[0]
    decay, kind = args.get("weight_decay") or 0.0, "L2"
    if spec.regularizer is not None:
        decay, kind = spec.regularizer.coeff, spec.regularizer.kind
    groups = parameter_groups(
        modules,
        weight_decay=decay,
        decay_kind=kind,
        no_decay=(args.get("no_weight_decay_name") or "").split(),
        one_dimensional_no_decay=_spares_one_dimensional(spec.name, args),
        rules_add=spec.name == "AdamW",
    )
    schedule = make_schedule(
        spec.lr, epochs=epochs, steps_per_epoch=steps_per_epoch, allow_import=allow_import
    )
    return ScheduledOptimizer(
        ready.make(groups=groups),
        schedule,
        name=str(schedule_spec(spec.lr).name),
        clip_norm=args.get("clip_norm"),
        clip_global_norm=args.get("clip_global_norm"),
    )
