"""A YAML file and the command line to a configuration in which every word has been checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lookalike.assembly.dialect import drop_ignored, drop_irrelevant
from lookalike.assembly.parts import prepare_part, schedule_spec
from lookalike.config import ComponentSpec, Document, RunConfig, read_yaml
from lookalike.config.check import allowed_keys, check_frame
from lookalike.config.overrides import apply_overrides
from lookalike.config.read import KeyPath
from lookalike.config.schema import OptimizerSpec, SamplerSpec
from lookalike.errors import ConfigError, Problem


@dataclass(frozen=True)
class Run:
    """A checked configuration.

    Attributes:
        config: The typed frame.
        document: The file as written, with the command line's changes, for messages and for
            ``resolved.yaml``.
        notes: What has no effect here, once each.
        allow_import: Modules a component may come from.
    """

    config: RunConfig
    document: Document
    notes: list[str]
    allow_import: tuple[str, ...] = ()


def load_run(
    path: str | Path, overrides: Sequence[str] = (), *, allow_import: Sequence[str] = ()
) -> Run:
    """Read a YAML file and check every name and argument in it.

    Args:
        path: The file.
        overrides: Texts such as ``Global.epochs=3``.
        allow_import: Modules that components may be imported from.

    Raises:
        ConfigError: With all mistakes, each at its line.
    """
    return check_document(read_yaml(path), overrides, allow_import=allow_import)


def check_document(
    document: Document, overrides: Sequence[str] = (), *, allow_import: Sequence[str] = ()
) -> Run:
    """Check a document that has been read."""
    problems = apply_overrides(document, overrides, knows=allowed_keys)
    data, notes = drop_irrelevant(document.data)
    cleaned = replace(document, data=data)
    config, more = check_frame(cleaned)
    problems += more
    for place in _places(data):
        wrong, said = _check(place, allow_import)
        problems += [document.problem(path, text) for path, text in wrong]
        notes += [note for note in said if note not in notes]
    if problems or config is None:
        raise ConfigError(_once(problems))
    return Run(config, document, notes, tuple(allow_import))


@dataclass(frozen=True)
class _Place:
    """A component somewhere in the file."""

    kind: str
    path: KeyPath
    name: str
    args: Mapping[str, Any]


def _places(data: Mapping[str, Any]) -> Iterator[_Place]:
    """Find the components, also in a file whose frame is wrong elsewhere."""
    arch = _mapping(data.get("Arch"))
    for key, kind in (("Backbone", "backbone"), ("Neck", "neck"), ("Head", "head")):
        if arch.get(key) is not None:
            yield from _component(kind, ("Arch", key), arch[key])
    for section, kind in (("Loss", "loss"), ("Metric", "metric")):
        for split, specs in _mapping(data.get(section)).items():
            for index, raw in enumerate(specs if isinstance(specs, list) else []):
                yield from _component(kind, (section, split, index), raw)
    yield from _optimizers(data.get("Optimizer"))
    yield from _splits(("DataLoader",), _mapping(data.get("DataLoader")))


def _splits(path: KeyPath, section: Mapping[str, Any]) -> Iterator[_Place]:
    for key, split in section.items():
        here = (*path, key)
        if not isinstance(split, dict):
            continue
        if "dataset" not in split:
            yield from _splits(here, split) if len(here) < 3 else ()
            continue
        yield from _component("dataset", (*here, "dataset"), split["dataset"])
        if isinstance(split.get("sampler"), dict):
            sampler = SamplerSpec.model_validate(split["sampler"])
            yield _Place("sampler", (*here, "sampler"), sampler.name, sampler.args)


def _optimizers(raw: Any) -> Iterator[_Place]:
    for index, one in enumerate(raw if isinstance(raw, list) else [raw]):
        path: KeyPath = ("Optimizer", index) if isinstance(raw, list) else ("Optimizer",)
        try:
            spec = OptimizerSpec.model_validate(one)
        except ValueError:
            continue
        if isinstance(one, dict) and "name" not in one:
            path = (*path, spec.name)
        yield _Place("optimizer", path, spec.name, spec.args)
        lr = schedule_spec(spec.lr)
        yield _Place("schedule", (*path, "lr"), lr.name, lr.args)


def _component(kind: str, path: KeyPath, raw: Any) -> Iterator[_Place]:
    try:
        spec = ComponentSpec.model_validate(raw)
    except ValueError:
        return
    yield _Place(kind, path if spec.named else (*path, spec.name), spec.name, spec.args)


def _check(
    place: _Place, allow_import: Sequence[str]
) -> tuple[list[tuple[KeyPath, str]], list[str]]:
    if not isinstance(place.name, str):
        return [], []
    _, problems = prepare_part(place.kind, place.name, place.args, allow_import)
    located = []
    for key, text in problems:
        steps = tuple(int(step) if step.isdigit() else step for step in key.split(".") if step)
        located.append(((*place.path, *steps), text))
    return located, drop_ignored(place.kind, place.name, place.args)[1]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _once(problems: Sequence[Problem]) -> list[Problem]:
    return list(dict.fromkeys(problems))
