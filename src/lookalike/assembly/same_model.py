"""Whether a configuration describes the model that a checkpoint holds."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lookalike.assembly.distillation import BuiltModels
from lookalike.assembly.load import Run
from lookalike.assembly.model_source import CONFIG, ModelSource
from lookalike.assembly.prepare import prepare_part
from lookalike.assembly.published import described_arch, model_config, read_config
from lookalike.config import ComponentSpec
from lookalike.config.read import KeyPath, dotted
from lookalike.errors import CheckpointError, ConfigError, cut
from lookalike.models.loading import matches_any

Difference = tuple[KeyPath, Any, Any]
_MISSING = "nothing"


def compare_with_stored(
    run: Run, built: BuiltModels, source: ModelSource, allow_missing: Sequence[str] = ()
) -> list[str]:
    """Compare a configuration with the one a model was trained with.

    Tensors of the right shapes can be loaded into a network that computes something else. So a
    difference in the backbone, the layer it is cut at, or the neck is an error, unless ``-o`` or
    ``--allow-missing`` ask for it. Images prepared or embeddings compared in another way give
    a warning.

    Returns:
        The warnings.

    Raises:
        CheckpointError: If the configuration describes another model.
    """
    folder = Path(source.place)
    if source.kind not in ("checkpoint", "folder") or not (folder / CONFIG).is_file():
        return []
    stored, own = read_config(folder), model_config(run, built)
    warnings = [
        f"{dotted(path)} is {_text(now)}, but the model was trained with {_text(then)}."
        for path, then, now in _of_settings(stored, own)
    ]
    if stored.get("prefix", "") != own["prefix"]:
        name = str(stored.get("prefix", "")).removeprefix("models.").rstrip(".")
        return [*warnings, f"the run's own embeddings are those of {name or 'its only model'}."]
    errors = []
    for path, then, now in _of_arch(run, stored, own):
        text = f"{dotted(path)} is {_text(now)}, but the model was trained with {_text(then)}"
        part = f"{path[1]}.".lower().replace("backbonestoplayer", "backbone")
        if _by_hand(run, path) or matches_any(f"{part}x", allow_missing):
            warnings.append(f"{text}.")
        else:
            errors.append(text)
    if errors:
        raise CheckpointError(
            f"{source.place} is not the model that {run.document.file} describes:\n"
            + "".join(f"  {text}\n" for text in errors)
            + "Use the configuration it was trained with, which is stored with a checkpoint "
            f"(--model {source.place} without -c), or ask for a difference with -o."
        )
    return warnings


def _of_settings(stored: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[Difference]:
    """Yield what differs in how images are prepared and embeddings are compared."""
    if stored["image_shape"] != own["image_shape"]:
        yield ("Global", "image_shape"), stored["image_shape"], own["image_shape"]
    then, now = stored.get("preprocessing"), json.loads(json.dumps(own["preprocessing"]))
    if then and now and then != now:
        yield ("DataLoader", "Eval", "transform_ops"), then, now
    keys = {
        "features": "retrieval_feature_from",
        "normalize": "feature_normalize",
        "binarize": "feature_binarize",
    }
    compare = stored.get("compare") or {}
    for key, word in keys.items():
        if key in compare and compare[key] != own["compare"][key]:
            yield ("Global", word), compare[key], own["compare"][key]


def _of_arch(run: Run, stored: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[Difference]:
    """Yield what differs in the parts that make an embedding."""
    try:
        then = described_arch(stored)
    except ValueError as error:
        raise CheckpointError(f"{CONFIG}: {error}") from error
    now = described_arch(own)
    yield from _of_component(run, "backbone", then.Backbone, now.Backbone)
    layers = [getattr(arch.BackboneStopLayer, "name", None) for arch in (then, now)]
    if layers[0] != layers[1]:
        yield ("Arch", "BackboneStopLayer", "name"), layers[0], layers[1]
    yield from _of_component(run, "neck", then.Neck, now.Neck)
    if run.config.Arch.infer_output_key == "logits":
        yield from _of_component(run, "head", then.Head, now.Head)
        if then.head_feature_from != now.head_feature_from:
            yield ("Arch", "head_feature_from"), then.head_feature_from, now.head_feature_from


def _of_component(
    run: Run, kind: str, then: ComponentSpec | None, now: ComponentSpec | None
) -> Iterator[Difference]:
    path = ("Arch", kind.capitalize())
    if then is None or now is None:
        if then is not now:
            yield path, then and then.name, now and now.name
        return
    meant = [_meaning(kind, spec, run.allow_import) for spec in (then, now)]
    if meant[0][0] != meant[1][0]:
        yield (*path, "name"), then.name, now.name
        return
    for key in sorted(meant[0][1].keys() | meant[1][1].keys()):
        values = [args.get(key, _MISSING) for _, args in meant]
        if values[0] != values[1]:
            yield (*path, key), values[0], values[1]


def _meaning(
    kind: str, spec: ComponentSpec, allow_import: Sequence[str]
) -> tuple[str, dict[str, Any]]:
    """Return what a component is and all its arguments, however they are spelled."""
    try:
        ready, problems = prepare_part(kind, spec.name, spec.args, allow_import)
    except ConfigError:
        ready, problems = None, []
    if ready is None or problems:
        return spec.name, dict(spec.args)
    taken = inspect.signature(ready.target).parameters.values()
    defaults = {one.name: one.default for one in taken if one.default is not one.empty}
    name = f"{ready.target.__module__}.{ready.target.__qualname__}"
    if name.endswith("library_backbone"):
        name = str(ready.args["name"])
    # written to JSON and back, tuples are lists
    return name, json.loads(json.dumps({**defaults, **ready.args}, default=repr))


def _by_hand(run: Run, path: KeyPath) -> bool:
    """Tell whether the command line changes a key, or one above or below it."""
    return any(
        given[: len(path)] == path[: len(given)] for given in run.document.overrides if given
    )


def _text(value: Any) -> str:
    return "none" if value is None else cut(value, 400).strip("'")
