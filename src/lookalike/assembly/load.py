"""A YAML file and the command line to a configuration in which every word has been checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lookalike.assembly.dialect import (
    drop_ignored,
    drop_irrelevant,
    other_program,
    translate_component,
)
from lookalike.assembly.parts import schedule_spec
from lookalike.assembly.prepare import NESTED, prepare_part
from lookalike.assembly.scopes import WHOLE_MODEL
from lookalike.assembly.without_training import eval_losses, without_training
from lookalike.config import ComponentSpec, Document, RunConfig, read_yaml
from lookalike.config.check import allowed_keys, check_frame
from lookalike.config.overrides import apply_overrides
from lookalike.config.read import KeyPath
from lookalike.config.specs import OptimizerSpec, SamplerSpec
from lookalike.errors import ComponentError, ConfigError, Problem, nearest


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
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    allow_import: Sequence[str] = (),
    training: bool = True,
    splits: Sequence[str] = (),
    evaluating: bool = False,
) -> Run:
    """Read a YAML file and check every name and argument in it.

    Args:
        path: The file.
        overrides: Texts such as ``Global.epochs=3``.
        allow_import: Modules that components may be imported from.
        training: False leaves unread what only training reads: ``Loss``, ``Optimizer``, ``AMP``,
            ``EMA``, ``Metric.Train``, and ``Train`` and ``Metalearning`` of ``DataLoader``.
        splits: Of these two, what is read all the same.
        evaluating: Read ``Loss.Eval`` all the same where the ``eval_mode`` computes it.

    Raises:
        ConfigError: With all mistakes, each at its line.
    """
    return check_document(
        read_yaml(path),
        overrides,
        allow_import=allow_import,
        training=training,
        splits=splits,
        evaluating=evaluating,
    )


def check_document(
    document: Document,
    overrides: Sequence[str] = (),
    *,
    allow_import: Sequence[str] = (),
    training: bool = True,
    splits: Sequence[str] = (),
    evaluating: bool = False,
) -> Run:
    """Check a document that has been read; see :func:`load_run`."""
    if refusal := other_program(document.data):
        raise ConfigError([Problem("", refusal, where=document.file)])
    problems = apply_overrides(document, overrides, knows=allowed_keys)
    whole, notes = drop_irrelevant(document.data)
    data = whole if training else without_training(whole, splits, evaluating)
    cleaned = replace(document, data=data)
    config, more = check_frame(cleaned)
    problems += more
    if training and isinstance(data.get("Loss"), dict) and "Train" not in data["Loss"]:
        problems.append(document.problem(("Loss", "Train"), "is missing here."))
    for place in _places(data):
        wrong, said = _check(place, allow_import)
        problems += [document.problem(path, text) for path, text in wrong]
        notes += [note for note in said if note not in notes]
    if config is not None:
        problems += _scopes(config, document)
    if not training:
        problems += _problems_of_overrides(document, whole, allow_import)
    if problems or config is None:
        raise ConfigError(_once(problems))
    mode = config.Global.eval_mode
    if (training or evaluating) and mode != "classification" and eval_losses(whole):
        notes.append(f"Loss.Eval is not computed in {mode} evaluation; metrics are.")
    return Run(config, document, notes, tuple(allow_import))


def _problems_of_overrides(
    document: Document, whole: Mapping[str, Any], allow_import: Sequence[str]
) -> list[Problem]:
    """Return what is wrong with values of the command line, also in sections that are not read.

    A component that is not there may be one of the training's.
    """
    problems = check_frame(replace(document, data=dict(whole)))[1]
    for place in _places(whole):
        if prepare_part(place.kind, place.name, place.args, allow_import)[0] is not None:
            problems += [
                document.problem(path, text) for path, text in _check(place, allow_import)[0]
            ]
    return [problem for problem in problems if problem.where.startswith("-o ")]


@contextmanager
def locating(run: Run) -> Iterator[None]:
    """Give a component's refusal of a value its place in the file."""
    try:
        yield
    except ComponentError as error:
        raise ConfigError([_locate(run.document, error)]) from error


def _locate(document: Document, error: ComponentError) -> Problem:
    """Find the component in the file and, if the refusal names one, the argument."""
    for outer in _places(document.data):
        for place in _with_inner(outer):
            if (place.kind, place.name) != (error.kind, error.name):
                continue
            words = translate_component(place.kind, place.name, place.args).their_words
            ours = {words_theirs: ours for ours, words_theirs in words.items()}
            said = re.findall(r"\w+", error.detail)
            for key in place.args:
                if key in said or ours.get(key) in said:
                    return document.problem((*place.path, key), error.detail)
            return document.problem(place.path, error.detail)
    return Problem("", str(error), where=document.file)


def _with_inner(place: _Place) -> Iterator[_Place]:
    yield place
    for word, nested in NESTED.get(place.kind, {}).items():
        listed = place.args.get(word)
        for index, raw in enumerate(listed if isinstance(listed, list) else ()):
            for inner in _component(nested.kind, (*place.path, word, index), raw):
                yield from _with_inner(inner)


@dataclass(frozen=True)
class _Place:
    """A component somewhere in the file."""

    kind: str
    path: KeyPath
    name: str
    args: Mapping[str, Any]
    named: bool = True


def _places(data: Mapping[str, Any]) -> Iterator[_Place]:
    """Find the components, also in a file whose frame is wrong elsewhere."""
    yield from _gears(("Arch",), _mapping(data.get("Arch")))
    for section, kind in (("Loss", "loss"), ("Metric", "metric")):
        for split, specs in _mapping(data.get(section)).items():
            for index, raw in enumerate(specs if isinstance(specs, list) else []):
                yield from _component(kind, (section, split, index), raw)
    yield from _optimizers(data.get("Optimizer"))
    yield from _splits(("DataLoader",), _mapping(data.get("DataLoader")))


def _gears(path: KeyPath, arch: Mapping[str, Any]) -> Iterator[_Place]:
    for key, kind in (("Backbone", "backbone"), ("Neck", "neck"), ("Head", "head")):
        if arch.get(key) is not None:
            yield from _component(kind, (*path, key), arch[key])
    models = arch.get("models")
    for index, one in enumerate(models if isinstance(models, list) else []):
        for name, member in _mapping(one).items():
            yield from _gears((*path, "models", index, name), _mapping(member))


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
            try:
                sampler = SamplerSpec.model_validate(split["sampler"])
            except ValueError:
                continue
            yield _Place("sampler", (*here, "sampler"), sampler.name, sampler.args)


def _optimizers(raw: Any) -> Iterator[_Place]:
    for index, one in enumerate(raw if isinstance(raw, list) else [raw]):
        path: KeyPath = ("Optimizer", index) if isinstance(raw, list) else ("Optimizer",)
        if isinstance(one, dict) and "name" not in one and len(one) == 1:
            ((name, one),) = one.items()
            path = (*path, name)
            one = {**one, "name": name} if isinstance(one, dict) else None
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            continue
        args = {key: value for key, value in one.items() if key not in OptimizerSpec.model_fields}
        yield _Place("optimizer", path, one["name"], args)
        if isinstance(one.get("lr"), dict | float | int):
            lr = schedule_spec(one["lr"])
            yield _Place("schedule", (*path, "lr"), lr.name, lr.args)


def _component(kind: str, path: KeyPath, raw: Any) -> Iterator[_Place]:
    try:
        spec = ComponentSpec.model_validate(raw)
    except ValueError:
        return
    here = path if spec.named else (*path, spec.name)
    yield _Place(kind, here, spec.name, spec.args, spec.named)


def _check(
    place: _Place, allow_import: Sequence[str]
) -> tuple[list[tuple[KeyPath, str]], list[str]]:
    if not isinstance(place.name, str):
        return [], []
    ready, problems = prepare_part(place.kind, place.name, place.args, allow_import)
    located = []
    for key, text in problems:
        if not key and ready is None and place.named:
            key = "name"
        steps = tuple(_step(step) for step in key.split(".") if step)
        located.append(((*place.path, *steps), text))
    return located, drop_ignored(place.kind, place.name, place.args)[1]


def _scopes(config: RunConfig, document: Document) -> list[Problem]:
    """Refuse an optimiser scope that is a plain word without meaning."""
    losses = [spec.name for spec in config.Loss.Train] if config.Loss else []
    known = ["all", *WHOLE_MODEL, "backbone", "neck", "head", *losses]
    return [
        document.problem(
            _scope_path(document.data["Optimizer"], index, spec.name),
            f"no part is called '{spec.scope}'.{nearest(spec.scope, known)} Known: "
            f"{', '.join(known)}; or a regular expression for module names.",
        )
        for index, spec in enumerate(config.Optimizer)
        if spec.scope.isidentifier() and spec.scope not in known
    ]


def _scope_path(raw: Any, index: int, name: str) -> KeyPath:
    here: KeyPath = ("Optimizer", index) if isinstance(raw, list) else ("Optimizer",)
    one = raw[index] if isinstance(raw, list) else raw
    return (*here, "scope") if "name" in one else (*here, name, "scope")


def _step(text: str) -> str | int:
    return int(text) if text.isascii() and text.isdigit() else text


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _once(problems: Sequence[Problem]) -> list[Problem]:
    return list(dict.fromkeys(problems))
