"""The weights a run starts with: ``Global.pretrained_model``, and what ``Slim`` leaves of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from lookalike.assembly.distillation import BuiltModels
from lookalike.assembly.load import Run
from lookalike.models.pruning import prune_filters
from lookalike.models.weights import load_state, read_weights
from lookalike.training import load_checkpoint


def start_weights(
    run: Run, built: BuiltModels, *, training: bool, allow_missing: Sequence[str], notes: list[str]
) -> None:
    """Load the weights the run names and prune the model, in the order that fits the weights.

    Weights of a whole model are loaded and then pruned; weights that were saved by a pruned run
    are loaded into the pruned model.
    """
    source, state = _named_weights(run, training)
    if state is None:
        if not training and not any(part.weights for part in built.parts):
            notes.append(
                "the model has no trained weights: give Global.pretrained_model to measure any."
            )
        _prune(run, built, notes)
        return
    pruned_before = run.config.Slim.prune is not None and not _fits(built, state)
    if pruned_before:
        _prune(run, built, notes)
    report = load_state(
        built.model,
        state,
        source=source,
        allow_missing=allow_missing,
        allow_left_over=allow_missing,
    )
    notes.append(str(report))
    if not pruned_before:
        _prune(run, built, notes)


def _named_weights(run: Run, training: bool) -> tuple[str, dict[str, Tensor] | None]:
    """Return what is to be loaded; for an evaluation a checkpoint is weights too."""
    settings = run.config.Global
    if not training and settings.checkpoints is not None:
        return settings.checkpoints, load_checkpoint(settings.checkpoints).model
    if isinstance(settings.pretrained_model, str):
        return settings.pretrained_model, read_weights(settings.pretrained_model)
    return "", None


def _fits(built: BuiltModels, state: Mapping[str, Tensor]) -> bool:
    own = {key: tensor.shape for key, tensor in built.model.state_dict().items()}
    return all(state[key].shape == shape for key, shape in own.items() if key in state)


def _prune(run: Run, built: BuiltModels, notes: list[str]) -> None:
    section = run.config.Slim.prune
    for part in built.parts if section is not None else ():
        assert section is not None
        before = sum(parameter.numel() for parameter in part.model.parameters())
        left = prune_filters(
            part.model,
            ratio=section.pruned_ratio,
            criterion=section.name,
            image_shape=run.config.Global.image_shape,
        )
        notes.append(f"Slim.prune: {before:,} parameters became {left:,}.")
