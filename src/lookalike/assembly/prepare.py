"""Each kind of component checked with all that the YAML says of it; nothing is made yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lookalike.assembly.beside import BESIDE, beside_of
from lookalike.assembly.components import Ready, prepare
from lookalike.assembly.dialect import drop_ignored, gather
from lookalike.assembly.param_attr import read_param_attr
from lookalike.assembly.signatures import signature_of
from lookalike.config import ComponentSpec
from lookalike.config.specs import SamplerSpec
from lookalike.errors import ConfigError, Problem

Problems = list[tuple[str, str]]

# arguments the program provides, by kind
RUNTIME = {
    "dataset": ("transforms", "datasets"),
    "sampler": ("labels", "cameras", "seed", "samplers", "sizes", "shares"),
    "mixture": ("mixtures",),
    "optimizer": ("groups",),
    "schedule": ("epochs", "steps_per_epoch"),
}


@dataclass(frozen=True)
class Nested:
    """Components inside a component: a list of specs under one of several words.

    Attributes:
        kind: Of the inner components.
        argument: Of the outer one's constructor that takes them; empty for what is no argument.
        beside: Keys of an inner spec that the outer component reads, with their defaults.
        provided: Arguments of the inner ones that the program provides.
    """

    kind: str
    argument: str
    beside: tuple[str, ...] = ()
    provided: tuple[str, ...] = ()


_TRANSFORMS = Nested("transform", "transforms")
_DATASETS = Nested("dataset", "datasets")
NESTED: dict[str, dict[str, Nested]] = {
    "dataset": {
        "transform_ops": _TRANSFORMS,
        "transforms": _TRANSFORMS,
        "transform": _TRANSFORMS,
        "datasets_config": _DATASETS,
        "datasets": _DATASETS,
        "batch_transform_ops": Nested("mixture", "", provided=("num_classes",)),
    },
    "sampler": {
        "sample_configs": Nested("sampler", "samplers", ("ratio",), provided=("batch_size",)),
    },
    "mixture": {
        "mixtures": Nested("mixture", "mixtures", ("prob",), provided=("num_classes",)),
    },
}
"""By kind of the outer component, the words that hold inner ones."""

TRANSFORM_WORDS = tuple(word for word, held in NESTED["dataset"].items() if held is _TRANSFORMS)


@dataclass(frozen=True)
class Inner:
    """One inner component, with where it stands below the outer one."""

    at: str
    spec: ComponentSpec
    beside: dict[str, Any]


def inner_components(kind: str, spec: ComponentSpec | SamplerSpec, argument: str) -> list[Inner]:
    """Return what a component holds for one argument; malformed entries are left out."""
    args = gather(kind, spec.name, spec.args)
    for word, nested in NESTED.get(kind, {}).items():
        if nested.argument == argument and args.get(word):
            return [one for one in _read(word, nested, args[word]) if isinstance(one, Inner)]
    return []


def mixtures_of(dataset: ComponentSpec) -> list[Inner]:
    """Return the mixtures of a data set's batches."""
    return inner_components("dataset", dataset, "")


def _read(word: str, nested: Nested, raw: Any) -> Iterator[Inner | tuple[str, str]]:
    """Yield each inner component, or where it is malformed and why."""
    if not isinstance(raw, list):
        yield word, f"a list of {nested.kind}s expected; got {raw!r}."
        return
    for index, one in enumerate(raw):
        at = f"{word}.{index}"
        try:
            spec = ComponentSpec.model_validate(one)
        except ValueError:
            yield at, f"write a {nested.kind} as 'Name:' with its arguments below it."
            continue
        own = {key: value for key, value in spec.args.items() if key not in nested.beside}
        beside = {key: value for key, value in spec.args.items() if key in nested.beside}
        where = at if spec.named else f"{at}.{spec.name}"
        yield Inner(where, spec.model_copy(update={"args": own}), beside)


def prepare_part(
    kind: str,
    name: str,
    args: Mapping[str, Any],
    allow_import: Sequence[str] = (),
    *,
    provided: Sequence[str] = (),
) -> tuple[Ready | None, Problems]:
    """Find a component and check all that the YAML says of it, with what it holds.

    Args:
        kind: A key of the catalog.
        name: As the YAML has it.
        args: As the YAML gives them.
        allow_import: Modules that an import path may name.
        provided: Arguments that the program provides unless the YAML gives them.
    """
    args, _ = drop_ignored(kind, name, gather(kind, name, args))
    beside, problems = beside_of(kind, args)
    own = {key: value for key, value in args.items() if key not in beside}
    held = {key: value for key, value in own.items() if key in NESTED.get(kind, {})}
    own = {key: value for key, value in own.items() if key not in held}
    ready, more = _find(kind, name, own, allow_import, provided)
    problems += more
    if ready is not None:
        problems += _check_held(kind, name, ready, held)
    problems += _check_inner(kind, held, allow_import)
    if kind in ("neck", "head"):
        problems += _check_attrs(kind, name, ready, args)
    return ready, problems


def _check_held(kind: str, name: str, ready: Ready, held: Mapping[str, Any]) -> Problems:
    """Refuse words for inner components that this one does not take, and miss those it needs."""
    problems, taken = [], ready.signature.types
    words = NESTED.get(kind, {})
    for word in held:
        argument = words[word].argument
        if argument and argument not in taken:
            why = " It has its images ready." if argument == "transforms" else ""
            problems.append((word, f"{name} takes no {argument}.{why}"))
    for argument in dict.fromkeys(nested.argument for nested in words.values()):
        if argument in ready.signature.required and not any(
            words[word].argument == argument for word in held
        ):
            first = next(word for word, nested in words.items() if nested.argument == argument)
            problems.append((first, "is missing; it has no default."))
    return problems


def _check_inner(kind: str, held: Mapping[str, Any], allow_import: Sequence[str]) -> Problems:
    problems: Problems = []
    for word, raw in held.items():
        nested = NESTED[kind][word]
        for one in _read(word, nested, raw) if raw is not None else ():
            if not isinstance(one, Inner):
                problems.append(one)
                continue
            _, wrong = prepare_part(
                nested.kind, one.spec.name, one.spec.args, allow_import, provided=nested.provided
            )
            problems += [(f"{one.at}.{key}" if key else one.at, text) for key, text in wrong]
    return problems


def _check_attrs(kind: str, name: str, ready: Ready | None, args: Mapping[str, Any]) -> Problems:
    problems: Problems = []
    for key in BESIDE[kind].types:
        _, wrong = read_param_attr(kind, args.get(key))
        problems += [(f"{key}.{where}" if where else key, text) for where, text in wrong]
    for which, why in (("weight", "cannot be built without its weight"), ("bias", "has no bias")):
        left_out = args.get(f"{which}_attr") is False
        if ready is not None and left_out and which not in ready.signature.types:
            problems.append((f"{which}_attr", f"{name} {why}."))
    return problems


def _find(
    kind: str,
    name: str,
    args: Mapping[str, Any],
    allow_import: Sequence[str],
    provided: Sequence[str],
) -> tuple[Ready | None, Problems]:
    if kind != "backbone":
        return prepare(
            kind,
            name,
            args,
            runtime=RUNTIME.get(kind, ()),
            provided=provided,
            allow_import=allow_import,
        )
    from lookalike.assembly.catalog import CATALOG

    if name in CATALOG["backbone"] or ":" in name:
        return prepare(kind, name, args, allow_import=allow_import)
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


def require(
    kind: str,
    spec: ComponentSpec | SamplerSpec,
    allow_import: Sequence[str],
    *,
    provided: Sequence[str] = (),
) -> Ready:
    """Return the checked component.

    Raises:
        ConfigError: With every mistake.
    """
    ready, problems = prepare_part(kind, spec.name, spec.args, allow_import, provided=provided)
    if problems or ready is None:
        at = f"{kind} {spec.name}"
        raise ConfigError([Problem(f"{at}.{key}" if key else at, text) for key, text in problems])
    return ready
