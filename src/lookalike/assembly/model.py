"""The ``Arch`` section to a model whose parts fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lookalike.assembly.beside import beside_of
from lookalike.assembly.dialect import stays_whole, stop_layer_candidates
from lookalike.assembly.embedding_model import EmbeddingModel
from lookalike.assembly.param_attr import DataInit
from lookalike.assembly.parts import make_gear
from lookalike.assembly.prepare import require
from lookalike.assembly.sized_backbone import of_size
from lookalike.assembly.weight_files import read_backbone
from lookalike.assembly.weight_sources import download, fetched
from lookalike.config import ComponentSpec
from lookalike.config.schema import ArchSection
from lookalike.errors import ConfigError, Problem, SetupError
from lookalike.models.backbones.image_size import resampled
from lookalike.models.evaluating import evaluating
from lookalike.models.feature_tap import FeatureTap, cut_backbone, freeze_up_to
from lookalike.models.loading import LoadReport, load_state
from lookalike.models.weight_packages import PACKAGES
from lookalike.models.weights import find_pretrained, is_address

STOPS = "Training would stop here:"
"""How the note begins that says so."""


@dataclass
class BuiltModel:
    """A model and what was noticed while it was built.

    Attributes:
        model: The model.
        arch: The section it was built from.
        shapes: Stage to the shape it returns for a batch of one, in order.
        data_inits: Initialisers that wait for the training images.
        weights: Where the pretrained weights came from; None without.
        notes: For the user.
        loaded: Names of the model's tensors that came from a weight file.
        untrained: Names of those that still have their initial values.
    """

    model: EmbeddingModel
    arch: ArchSection
    shapes: dict[str, list[int]]
    data_inits: list[DataInit] = field(default_factory=list)
    weights: LoadReport | None = None
    notes: list[str] = field(default_factory=list)
    loaded: set[str] = field(default_factory=set)
    untrained: list[str] = field(default_factory=list)


def build_model(
    arch: ArchSection,
    *,
    image_shape: Sequence[int] = (3, 224, 224),
    allow_import: Sequence[str] = (),
    need_weights: bool = True,
) -> BuiltModel:
    """Build backbone, neck and head and check that they fit each other.

    Args:
        arch: The section.
        image_shape: ``[3, H, W]`` the model will be given.
        allow_import: Modules that components may be imported from.
        need_weights: False only notes it when pretrained weights cannot be found.

    Raises:
        ConfigError: If the stop layer does not exist, or widths do not fit.
        SetupError: If pretrained weights are asked for and not there.
    """
    notes: list[str] = []
    backbone, report = build_backbone(
        arch.Backbone, allow_import, need_weights, notes, image_shape=image_shape
    )
    beside = beside_of("backbone", arch.Backbone.args)[0]
    _freeze(backbone, arch.Backbone.name, beside.get("freeze_befor"), image_shape)
    if arch.BackboneStopLayer is not None:
        layer, name = arch.BackboneStopLayer.name, arch.Backbone.name
        if reason := stays_whole(layer, name):
            notes.append(reason)
        else:
            backbone = _cut(backbone, layer, name, image_shape)
    data_inits = []
    gears: dict[str, nn.Module | None] = {"neck": None, "head": None}
    for kind, spec in (("neck", arch.Neck), ("head", arch.Head)):
        if spec is not None:
            gears[kind], from_data = make_gear(kind, spec, allow_import)
            data_inits += [from_data] if from_data is not None else []
    model = EmbeddingModel(
        backbone, gears["neck"], gears["head"], head_feature_from=arch.head_feature_from
    )
    model.freeze_statistics = beside.get("frozen_statistics", False)
    if beside.get("freeze", False):
        model.freeze_backbone()
    shapes = stage_shapes(model, arch, image_shape)
    loaded = _loaded(backbone, report)
    return BuiltModel(model, arch, shapes, data_inits, report, notes, loaded)


def _loaded(backbone: nn.Module, report: LoadReport | None) -> set[str]:
    """Return the model's names of what the pretrained weights gave to its backbone."""
    if report is None:
        return set()
    # an observed cut holds the network as its ``model``
    inside = "model." if isinstance(backbone, FeatureTap) else ""
    given = set(report.loaded)
    return {f"backbone.{key}" for key in backbone.state_dict() if key.removeprefix(inside) in given}


def _freeze(
    backbone: nn.Module, name: str, layers: str | list[str] | None, image_shape: Sequence[int]
) -> None:
    """Freeze what runs before and in the layers that ``freeze_befor`` names, and these too."""
    for layer in [layers] if isinstance(layers, str) else layers or []:
        candidates, numbered = stop_layer_candidates(layer, name)
        try:
            freeze_up_to(backbone, candidates, numbered=numbered, image_shape=image_shape)
        except ConfigError as error:
            raise ConfigError([Problem("Arch.Backbone.freeze_befor", str(error))]) from error


def _cut(backbone: nn.Module, layer: str, name: str, image_shape: Sequence[int]) -> nn.Module:
    candidates, numbered = stop_layer_candidates(layer, name)
    try:
        return cut_backbone(
            backbone, candidates, numbered=numbered, image_shape=image_shape, wanted=layer
        )
    except ConfigError as error:
        raise ConfigError([Problem("Arch.BackboneStopLayer.name", str(error))]) from error


def build_backbone(
    spec: ComponentSpec,
    allow_import: Sequence[str] = (),
    need_weights: bool = True,
    notes: list[str] | None = None,
    *,
    image_shape: Sequence[int] | None = None,
) -> tuple[nn.Module, LoadReport | None]:
    """Build the whole network of a backbone, with its pretrained weights if asked for.

    With ``image_shape`` it is built for images of that size.
    """
    notes = [] if notes is None else notes
    module = of_size(require("backbone", spec, allow_import), image_shape, notes)
    pretrained = beside_of("backbone", spec.args)[0].get("pretrained") or False
    if not pretrained:
        return module, None
    try:
        return module, _load_pretrained(module, spec.name, pretrained, notes)
    except SetupError as error:
        if need_weights:
            raise
        notes.append(f"{STOPS} {error}")
        return module, None


def _load_pretrained(module: nn.Module, name: str, pretrained: Any, notes: list[str]) -> LoadReport:
    if isinstance(pretrained, str) and is_address(pretrained):
        source, state = fetched(pretrained, name, module)
    elif isinstance(pretrained, str):
        source, state = pretrained, read_backbone(pretrained, name, module)
    elif (found := find_pretrained(name)) is not None:
        source, state = str(found), read_backbone(str(found), name, module)
        if name in PACKAGES and found == PACKAGES[name].path():
            source, state = PACKAGES[name].title, PACKAGES[name].read(state)
    else:
        source, state = download(name)
    # a classifier of another width is a declared difference: class_num says so
    classifier = classifier_prefixes(module)
    fitted = resampled(module, state)
    changed = [key for key in fitted if key in state and fitted[key].shape != state[key].shape]
    if changed:
        notes.append(f"{name}: position embeddings are interpolated ({', '.join(changed[:3])}).")
    return load_state(module, fitted, source=source, allow_missing=[f"{p}.*" for p in classifier])


def classifier_prefixes(module: nn.Module) -> list[str]:
    """Return the names of the network's own classifier layers."""
    config = getattr(module, "pretrained_cfg", None) or {}
    named = config.get("classifier") or ("fc", "classifier", "heads", "head")
    names = [named] if isinstance(named, str) else list(named)
    children = {name.split(".")[0] for name, _ in module.named_parameters()}
    return [name for name in names if name.split(".")[0] in children]


def stage_shapes(
    model: EmbeddingModel, arch: ArchSection, image_shape: Sequence[int], *, as_built: bool = True
) -> dict[str, list[int]]:
    """Run one image through, stage by stage, and refuse stages that do not fit each other.

    Args:
        model: The model.
        arch: The section it was built from.
        image_shape: ``[3, H, W]``.
        as_built: The parts still have the widths they were built with.

    Raises:
        ConfigError: Names the stage and the widths.
    """
    shapes = {"images": [1, *image_shape]}
    with evaluating(model):
        features = _run("Arch.Backbone", model.backbone, torch.zeros(1, *image_shape))
        if not isinstance(features, Tensor):
            raise ConfigError(
                f"Arch.Backbone: {arch.Backbone.name} returns {type(features).__name__}, not one "
                "tensor; name a layer to cut it at as Arch.BackboneStopLayer."
            )
        shapes["backbone"] = list(features.shape)
        embedding = features
        if model.neck is not None and arch.Neck is not None:
            if as_built:
                _same_width("Arch.Neck", arch.Neck, model.neck, features, "the backbone")
            embedding = _run("Arch.Neck", model.neck, features)
            shapes["neck"] = list(embedding.shape)
        shapes["features"] = list(embedding.shape)
        if model.head is not None and arch.Head is not None:
            source = features if arch.head_feature_from == "backbone" else embedding
            name = "the neck" if source is embedding and model.neck is not None else "the backbone"
            if as_built:
                _same_width("Arch.Head", arch.Head, model.head, source, name)
            shapes["logits"] = list(_run("Arch.Head", model.head, source.flatten(1), None).shape)
    return shapes


def _run(at: str, module: nn.Module, *inputs: Tensor | None) -> Any:
    """Run a stage; say which one does not fit what it is given."""
    try:
        return module(*inputs)
    except Exception as error:  # noqa: BLE001 - modules of other libraries fail in every way
        given = list(inputs[0].shape) if inputs[0] is not None else []
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise ConfigError(f"{at} does not fit an input of shape {given}: {reason}") from error


_WIDTH_WORDS = ("in_channels", "embedding_size", "num_features", "in_features")


def _same_width(at: str, spec: ComponentSpec, module: nn.Module, given: Tensor, giver: str) -> None:
    wanted = getattr(module, "in_features", None)
    if wanted is None or given.shape[1] == wanted:
        return
    key = next((word for word in _WIDTH_WORDS if word in spec.args), "")
    raise ConfigError(
        [
            Problem(
                f"{at}.{key}" if key else at,
                f"{spec.name} takes {wanted} channels, {giver} gives {given.shape[1]} "
                f"({list(given.shape)}). Set {at}.{key or 'its width'} to {given.shape[1]}, or cut "
                "the backbone elsewhere.",
            )
        ]
    )
