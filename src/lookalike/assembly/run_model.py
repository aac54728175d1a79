"""A configuration and a model from what a command line names: a YAML, a model, or both."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

from lookalike.assembly.load import Run, check_document
from lookalike.assembly.model_source import ModelSource, find_model, refuse_two_models
from lookalike.config import Document, read_yaml
from lookalike.errors import ConfigError
from lookalike.training.intact import MANIFEST

# what training started from, which the trained model replaces
_START = ("pretrained_model", "checkpoints")


def run_and_model(
    config: str | None,
    model: str | None,
    overrides: Sequence[str] = (),
    *,
    allow_import: Sequence[str] = (),
    splits: Sequence[str] = (),
    evaluating: bool = False,
) -> tuple[Run, ModelSource | None]:
    """Read a YAML, and find a model; without a YAML use the configuration stored with the model.

    Args:
        config: The YAML, or None.
        model: A run folder, checkpoint or weight file; see :func:`find_model`.
        overrides: Texts such as ``Global.device=cpu``.
        allow_import: Modules that components may be imported from.
        splits: As for :func:`load_run`.
        evaluating: As for :func:`load_run`.

    Returns:
        The checked configuration, and the model if one was named by ``model``.

    Raises:
        ConfigError: If neither is given, or the model has no configuration.
        CheckpointError: If there is no such model, or it is damaged.
    """
    if config is None and model is None:
        raise ConfigError("give a YAML (-c), a trained model (--model), or both.")
    document = None if config is None else read_yaml(config)
    source = None if model is None else find_model(model)
    if document is None:
        assert source is not None
        document = stored_configuration(source)
    run = check_document(
        document,
        overrides,
        allow_import=allow_import,
        training=False,
        splits=splits,
        evaluating=evaluating,
    )
    if source is not None:
        refuse_two_models(run)
    return run, source


def stored_configuration(source: ModelSource) -> Document:
    """Return the configuration that a checkpoint stores, to evaluate its model.

    The run folder becomes the one where the checkpoint is now. Paths of images and lists stay as
    they were written.

    Raises:
        ConfigError: If none is stored.
    """
    place = Path(source.place)
    config = source.facts.get("config")
    if not isinstance(config, dict):
        raise ConfigError(f"{place}: {_why_none(source)} Give a YAML: -c FILE --model {place}")
    data = deepcopy(config)
    settings = data.setdefault("Global", {})
    if isinstance(settings, dict):
        settings["output_dir"] = str(place.parent)
        for key in _START:
            settings.pop(key, None)
    return Document(str(place / MANIFEST), json.dumps(config, indent=1), data, {})


def _why_none(source: ModelSource) -> str:
    if source.kind == "checkpoint":
        return "this checkpoint stores no configuration of its run."
    if source.kind == "file":
        folder = Path(source.place).parent
        beside = f" Its checkpoint does: --model {folder}." if (folder / MANIFEST).is_file() else ""
        return f"a weight file stores no configuration.{beside}"
    return "this folder describes a model, but not the data to use it on."
