"""A weight file of any origin to one of ours, complete or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from lookalike.assembly.class_numbering import write_class_names
from lookalike.assembly.distillation import BuiltModels, build_any_model
from lookalike.assembly.facts import git_commit
from lookalike.assembly.job import seed_of
from lookalike.assembly.load import Run, locating
from lookalike.assembly.model_source import CONFIG, find_model
from lookalike.assembly.published import CARD, WEIGHTS, model_card, model_config
from lookalike.assembly.start_weights import slim
from lookalike.assembly.weight_files import read_source, refuse_backbone_alone
from lookalike.durable import sync, synced, whole_file, whole_folder
from lookalike.errors import ConfigError
from lookalike.models.loading import LoadReport, load_state


def convert(
    run: Run, source: str, target: Path, *, allow_missing: Sequence[str] = (), notes: list[str]
) -> LoadReport:
    """Load a file into the model of a run and write the model.

    Args:
        run: Describes the model.
        source: A file or folder of the reference, of PyTorch or of Lookalike.
        target: ``*.safetensors`` for the tensors alone; else a folder, which gets
            ``config.json`` and a card as well.
        allow_missing: Patterns of tensors that the file may lack, or have too many; what it lacks
            keeps its initial value.
        notes: Gets what a user should know.

    Returns:
        What was loaded.

    Raises:
        CheckpointError: If the file is damaged, not to be trusted, or does not fit the model.
        SetupError: If the target cannot be written.
    """
    if target.suffix and target.suffix != ".safetensors":
        raise ConfigError(
            f"{target}: weights are written as .safetensors, or into a folder (a name without a "
            "suffix)."
        )
    with locating(run):
        built = build_any_model(
            run.config.Arch,
            image_shape=run.config.Global.image_shape,
            allow_import=run.allow_import,
            need_weights=False,
        )
    found = find_model(source)
    if found.chosen:
        notes.append(f"the model is {found}.")
    source = found.place
    state = read_source(found, built.receivers, notes)
    refuse_backbone_alone(source, state, allow_missing)
    report = load_state(
        built.model,
        state,
        source=source,
        allow_missing=allow_missing,
        allow_left_over=allow_missing,
    )
    notes += slim(run.config.Slim, built, run.config.Global.image_shape)
    if target.suffix:
        with whole_file(target) as unfinished:
            save_file(_tensors(built), unfinished)
    else:
        _write_folder(run, built, source, target)
    return report


def _tensors(built: BuiltModels) -> dict[str, Tensor]:
    return {key: tensor.contiguous() for key, tensor in built.model.state_dict().items()}


def _write_folder(run: Run, built: BuiltModels, source: str, target: Path) -> None:
    """Write the folder under another name and put it in place when it is complete."""
    config = model_config(run, built)
    card = model_card(
        config,
        metrics={},
        intervals={},
        facts={"seed": seed_of(run), "git_commit": git_commit()},
        weights=source,
    )
    if target.exists():
        raise ConfigError(f"{target}: exists already; give another name, or remove it.")
    with whole_folder(target) as unfinished:
        with synced(unfinished / CONFIG) as file:
            file.write((json.dumps(config, indent=1) + "\n").encode())
        with synced(unfinished / CARD) as file:
            file.write(card.encode())
        write_class_names(unfinished, source)
        save_file(_tensors(built), unfinished / WEIGHTS)
        sync(unfinished / WEIGHTS)
