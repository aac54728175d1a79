"""The weights of a whole model that a run starts with, and what ``Slim`` leaves of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from lookalike.assembly.distillation import BuiltModels
from lookalike.assembly.load import Run
from lookalike.assembly.model import stage_shapes
from lookalike.assembly.model_source import ModelSource
from lookalike.assembly.untrained import mark_untrained
from lookalike.assembly.weight_files import read_source, refuse_backbone_alone
from lookalike.config.schema import SlimSection
from lookalike.errors import SetupError
from lookalike.models.loading import load_state, matches_any
from lookalike.models.pruning import prune_filters
from lookalike.models.quantization import quantize_for_training
from lookalike.models.weights import WEIGHTS_VARIABLE, is_address, local_copy
from lookalike.training.sharded_state import own_model


def start_weights(
    run: Run,
    built: BuiltModels,
    source: ModelSource | None,
    *,
    allow_missing: Sequence[str],
    notes: list[str],
) -> None:
    """Load the weights of a whole model, and prune or quantise, in the order that fits the weights.

    Weights of the whole model are loaded first; weights that were saved by such a run are loaded
    into the changed model.
    """
    if source is None:
        mark_untrained(built)
        _slim(run, built, notes)
        return
    if is_address(source.place):
        source = replace(source, place=_local(source.place))
    state = read_source(source, built.receivers, notes)
    refuse_backbone_alone(source.place, state, allow_missing)
    mine = {key: tensor for key, tensor in state.items() if not matches_any(key, allow_missing)}
    state = {**state, **own_model(built.model, mine)}
    slim_before = not _fits(built, state, allow_missing)
    if slim_before:
        _slim(run, built, notes)
    report = load_state(
        built.model,
        state,
        source=source.place,
        allow_missing=allow_missing,
        allow_left_over=allow_missing,
    )
    notes.append(str(report) if report.complete else report.table())
    mark_untrained(built, report.loaded)
    if not slim_before:
        _slim(run, built, notes)


def _local(address: str) -> str:
    """Return the file that stands for an address.

    Raises:
        SetupError: If it is not there; nothing is downloaded.
    """
    if (copy := local_copy(address)) is not None:
        return str(copy)
    raise SetupError(
        f"Global.pretrained_model is the address {address}, and nothing is downloaded from there. "
        f"Fetch the file yourself and put it into a folder that {WEIGHTS_VARIABLE} names, or give "
        "the file: -o Global.pretrained_model=FILE, or start without: "
        "-o Global.pretrained_model=False"
    )


def _fits(built: BuiltModels, state: Mapping[str, Tensor], allow_missing: Sequence[str]) -> bool:
    """Tell whether these are weights of the model as it is before ``Slim`` changes it."""
    own = {
        key: tensor.shape
        for key, tensor in built.model.state_dict().items()
        if not matches_any(key, allow_missing)
    }
    same_shapes = all(state[key].shape == own[key] for key in own if key in state)
    return same_shapes and not any(".quantize_weight." in key for key in state)


def slim(section: SlimSection, built: BuiltModels, image_shape: Sequence[int]) -> list[str]:
    """Prune and prepare for integers what the section asks for; return what was done."""
    prune, quant, notes = section.prune, section.quant, []
    for part in built.parts:
        if not any(parameter.requires_grad for parameter in part.model.parameters()):
            continue  # a frozen teacher stays as it is
        if prune is not None:
            before = sum(parameter.numel() for parameter in part.model.parameters())
            left = prune_filters(
                part.model,
                ratio=prune.pruned_ratio,
                criterion=prune.name,
                image_shape=image_shape,
            )
            part.shapes = stage_shapes(part.model, part.arch, image_shape, as_built=False)
            notes.append(f"Slim.prune: {before:,} parameters became {left:,}.")
        if quant is not None:
            layers = quantize_for_training(part.model, clip=quant.name == "pact")
            notes.append(f"Slim.quant: {layers} layers are rounded to 8 bits.")
    return notes


def _slim(run: Run, built: BuiltModels, notes: list[str]) -> None:
    notes += slim(run.config.Slim, built, run.config.Global.image_shape)
