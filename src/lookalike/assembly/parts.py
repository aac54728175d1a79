"""Each kind of component from its spec: what the YAML says beside the constructor's arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from lookalike.assembly.beside import BESIDE, beside_of
from lookalike.assembly.components import Ready, prepare
from lookalike.assembly.dialect import drop_ignored
from lookalike.assembly.param_attr import DataInit, ParamAttr, apply_param_attr, read_param_attr
from lookalike.assembly.signatures import signature_of
from lookalike.config import ComponentSpec
from lookalike.config.specs import OptimizerSpec, SamplerSpec
from lookalike.data.transforms import Pipeline
from lookalike.errors import ConfigError, Problem
from lookalike.losses import WeightedSum
from lookalike.optim import Schedule, ScheduledOptimizer, parameter_groups

Problems = list[tuple[str, str]]

# arguments the program provides, by kind
RUNTIME = {
    "dataset": ("transforms",),
    "sampler": ("labels", "cameras", "seed"),
    "optimizer": ("groups",),
    "schedule": ("epochs", "steps_per_epoch"),
}
TRANSFORM_WORDS = ("transform_ops", "transforms", "transform")


def prepare_part(
    kind: str, name: str, args: Mapping[str, Any], allow_import: Sequence[str] = ()
) -> tuple[Ready | None, Problems]:
    """Find a component and check all that the YAML says of it."""
    args, _ = drop_ignored(kind, name, args)
    beside, problems = beside_of(kind, args)
    own = {key: value for key, value in args.items() if key not in beside}
    transforms: dict[str, Any] = {}
    if kind == "dataset":
        own, transforms, problems = _without_transforms(own, allow_import)
    ready, more = _find(kind, name, own, allow_import)
    if ready is not None and transforms and "transforms" not in ready.signature.types:
        text = f"{name} has its images ready and takes no transforms."
        more += [(word, text) for word in transforms]
    problems += more
    if kind in ("neck", "head"):
        for key in BESIDE[kind].types:
            _, wrong = read_param_attr(kind, args.get(key))
            problems += [(f"{key}.{where}" if where else key, text) for where, text in wrong]
        no_bias = args.get("bias_attr") is False
        if ready is not None and no_bias and "bias" not in ready.signature.types:
            problems.append(("bias_attr", f"{name} has no bias."))
    return ready, problems


def _find(
    kind: str, name: str, args: Mapping[str, Any], allow_import: Sequence[str]
) -> tuple[Ready | None, Problems]:
    runtime = RUNTIME.get(kind, ())
    if kind != "backbone":
        return prepare(kind, name, args, runtime=runtime, allow_import=allow_import)
    from lookalike.assembly.catalog import CATALOG

    if name in CATALOG["backbone"] or ":" in name:
        return prepare(kind, name, args, runtime=runtime, allow_import=allow_import)
    from lookalike.models.backbones.library import known_names, library_backbone

    if name.rpartition(".")[2] not in known_names():
        return _unknown_backbone(name, args, allow_import)
    words = {"class_num": "num_classes"}
    own = {"name": name, **{words.get(key, key): value for key, value in args.items()}}
    return Ready(kind, name, library_backbone, own, signature_of(library_backbone)), []


def _unknown_backbone(
    name: str, args: Mapping[str, Any], allow_import: Sequence[str]
) -> tuple[Ready | None, Problems]:
    from lookalike.assembly.catalog import CATALOG
    from lookalike.errors import nearest
    from lookalike.models.backbones.library import known_names

    ready, problems = prepare("backbone", name, args, allow_import=allow_import)
    if ready is not None:
        return ready, problems
    known = [*CATALOG["backbone"], *known_names()]
    text = (
        f"no backbone is called '{name}'.{nearest(name, known)} Own names: "
        f"{', '.join(CATALOG['backbone'])}; and any model of timm or torchvision."
    )
    return None, [("", text)]


def _without_transforms(
    args: Mapping[str, Any], allow_import: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any], Problems]:
    """Return the arguments, the transforms among them, and what is wrong with those."""
    problems: Problems = []
    for word in TRANSFORM_WORDS:
        specs = args.get(word)
        if specs is None:
            continue
        if not isinstance(specs, list):
            problems.append((word, f"a list of transforms expected; got {specs!r}."))
            continue
        for index, raw in enumerate(specs):
            problems += _check_transform(f"{word}.{index}", raw, allow_import)
    transforms = {key: value for key, value in args.items() if key in TRANSFORM_WORDS}
    return {key: args[key] for key in args if key not in transforms}, transforms, problems


def _check_transform(at: str, raw: Any, allow_import: Sequence[str]) -> Problems:
    try:
        spec = ComponentSpec.model_validate(raw)
    except ValueError:
        return [(at, "write a transform as 'Name:' with its arguments below it.")]
    _, wrong = prepare_part("transform", spec.name, spec.args, allow_import)
    here = at if spec.named else f"{at}.{spec.name}"
    return [(f"{here}.{where}" if where else here, text) for where, text in wrong]


def require(kind: str, spec: ComponentSpec | SamplerSpec, allow_import: Sequence[str]) -> Ready:
    """Return the checked component.

    Raises:
        ConfigError: With every mistake.
    """
    ready, problems = prepare_part(kind, spec.name, spec.args, allow_import)
    if problems or ready is None:
        at = f"{kind} {spec.name}"
        raise ConfigError([Problem(f"{at}.{key}" if key else at, text) for key, text in problems])
    return ready


def make_pipeline(
    specs: Iterable[Any] | None, allow_import: Sequence[str] = (), **runtime: Any
) -> Pipeline:
    """Build a chain of transforms."""
    parsed = [ComponentSpec.model_validate(raw) for raw in specs or ()]
    return Pipeline([require("transform", spec, allow_import).make(**runtime) for spec in parsed])


def make_dataset(
    spec: ComponentSpec,
    allow_import: Sequence[str] = (),
    *,
    transforms: Pipeline | None = None,
) -> Any:
    """Build a data set with its transforms; ``transforms`` takes the place of its own."""
    ready = require("dataset", spec, allow_import)
    return ready.make(
        **ready.accepts({"transforms": transforms or transforms_of(spec, allow_import)})
    )


def transforms_of(spec: ComponentSpec, allow_import: Sequence[str] = ()) -> Pipeline:
    """Build only the transforms of a data set."""
    return make_pipeline(listed_transforms(spec), allow_import)


def listed_transforms(spec: ComponentSpec) -> list[Any]:
    """Return the transforms of a data set as the YAML has them."""
    return next((spec.args[word] for word in TRANSFORM_WORDS if spec.args.get(word)), [])


def make_sampler(
    spec: SamplerSpec,
    labels: Sequence[int],
    *,
    cameras: Sequence[int] | None = None,
    seed: int = 0,
    allow_import: Sequence[str] = (),
) -> Any:
    """Build a sampler for a data set with these labels (and cameras)."""
    ready = require("sampler", spec, allow_import)
    if "cameras" in ready.signature.required and cameras is None:
        raise ConfigError(f"sampler {spec.name} needs a list with cameras (a third column).")
    return ready.make(**ready.accepts({"labels": labels, "cameras": cameras, "seed": seed}))


def make_gear(
    kind: str, spec: ComponentSpec, allow_import: Sequence[str] = ()
) -> tuple[nn.Module, DataInit | None]:
    """Build a neck or head; return with it the initialiser that waits for the data, if any."""
    ready = require(kind, spec, allow_import)
    given, _ = drop_ignored(kind, spec.name, spec.args)
    attrs: dict[str, ParamAttr] = {
        which: read_param_attr(kind, given.get(f"{which}_attr"))[0] for which in ("weight", "bias")
    }
    more = {} if attrs["bias"].exists else {"bias": False}
    module: nn.Module = ready.make(**more)
    apply_param_attr(module, "weight", attrs["weight"])
    apply_param_attr(module, "bias", attrs["bias"])
    return module, attrs["weight"].from_data


def make_loss(specs: Sequence[ComponentSpec], allow_import: Sequence[str] = ()) -> WeightedSum:
    """Build the weighted sum of losses; a name used twice gets a number in the log."""
    losses: dict[str, nn.Module] = {}
    weights: list[float] = []
    for spec in specs:
        name, number = spec.name.replace(".", "_"), 2
        while name in losses:
            name, number = f"{spec.name}_{number}", number + 1
        losses[name] = require("loss", spec, allow_import).make()
        weights.append(beside_of("loss", spec.args)[0].get("weight", 1.0))
    return WeightedSum(losses, weights)


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
