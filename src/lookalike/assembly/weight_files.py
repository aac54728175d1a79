"""A weight file of any origin to tensors under a model's own names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lookalike.assembly.dialect import (
    place_numbered,
    read_reference,
    reference_file,
    translate_weights,
)
from lookalike.assembly.model_source import ModelSource
from lookalike.errors import CheckpointError, ConfigError
from lookalike.models.loading import matches_any, shown_key
from lookalike.models.weights import read_weights

_WHOLE = ("backbone.", "neck.", "head.")
# tensors of the reference's losses; only a resumed run has a use for them
_OF_LOSSES = "loss_func."


class Receiver(NamedTuple):
    """A model that weights are read for, and the name of its backbone (of a backbone, its own)."""

    backbone: str
    module: nn.Module


@dataclass(frozen=True)
class ReferenceModel:
    """A model of the reference, translated.

    Attributes:
        tensors: By our key.
        losses: The tensors of its losses, by the reference's key.
        names: Our key, or the reference's of a loss, to the number its optimiser knows it by.
    """

    tensors: dict[str, Tensor]
    losses: dict[str, Tensor] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


def read_model(
    source: str, receivers: Mapping[str, Receiver], notes: list[str] | None = None
) -> dict[str, Tensor]:
    """Read the weights of a whole model.

    Args:
        source: A file or folder of Lookalike, of PyTorch, or of the reference.
        receivers: By name of the model; a single model's name is empty.
        notes: Gets a line for what the file holds and a model has no use for.

    Raises:
        CheckpointError: If the file is missing, damaged or not to be trusted.
    """
    path = reference_file(source)
    if path is None:
        return read_weights(source)
    found = read_reference_model(path, receivers)
    if found.losses and notes is not None:
        notes.append(f"{path}: {len(found.losses)} tensors of losses are not part of the model.")
    return found.tensors


def read_source(
    source: ModelSource,
    receivers: Mapping[str, Receiver],
    notes: list[str] | None = None,
) -> dict[str, Tensor]:
    """Read the weights of a model that was found by its path; as :func:`read_model`.

    Raises:
        ConfigError: If it is an exported model.
    """
    if source.kind == "exported":
        raise ConfigError(
            f"{source.place}: an exported model, which has no weights to load. Compute embeddings "
            f"with it (lookalike embed --model {source.place} ...), or give the model that was "
            "exported."
        )
    if source.kind == "file":
        return read_model(source.place, receivers, notes)
    return read_weights(source.place)


def read_reference_model(path: Path, receivers: Mapping[str, Receiver]) -> ReferenceModel:
    """Read and translate a weight file of the reference.

    Raises:
        CheckpointError: If the file is missing, damaged or not to be trusted.
    """
    found = read_reference(path)
    if found.numbered:
        if list(receivers) != [""]:
            raise CheckpointError(f"{path}: an exported model holds one model, this run several.")
        return _read_exported(found, receivers[""])
    of_losses = {k: v for k, v in found.arrays.items() if k.startswith(_OF_LOSSES)}
    of_models = {k: v for k, v in found.arrays.items() if k not in of_losses}
    tensors: dict[str, Tensor] = {}
    names = {key: found.parameter_names.get(key, key) for key in of_losses}
    for name, receiver in receivers.items():
        mine, place = (f"{name}.", f"models.{name}.") if name else ("", "")
        own = {k.removeprefix(mine): v for k, v in of_models.items() if k.startswith(mine)}
        translated = translate_weights(own, receiver.backbone)
        for key, array in translated.arrays.items():
            theirs = mine + translated.theirs[key]
            tensors[place + key] = _tensor(array)
            names[place + key] = found.parameter_names.get(theirs, theirs)
    return ReferenceModel(tensors, {k: _tensor(v) for k, v in of_losses.items()}, names)


_LAYERS = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.BatchNorm1d)


def _read_exported(found: Any, receiver: Receiver) -> ReferenceModel:
    layers = [
        (kind.__name__, key)
        for key, module in receiver.module.named_modules()
        for kind in _LAYERS
        if isinstance(module, kind) and not key.startswith("head.")
    ]
    try:
        placed = place_numbered(found.arrays, layers, receiver.backbone)
    except CheckpointError as error:
        raise CheckpointError(f"{found.path}: {error}") from error
    return ReferenceModel({key: _tensor(array) for key, array in placed.items()})


def read_backbone(source: str, backbone: str, module: nn.Module) -> dict[str, Tensor]:
    """Read the weights of a backbone; of a whole model's file its backbone is taken.

    Raises:
        CheckpointError: As :func:`read_model`.
    """
    state = read_model(source, {"": Receiver(backbone, module)})
    if not all(key.startswith(_WHOLE) for key in state):
        return state
    return {
        key.removeprefix("backbone."): tensor
        for key, tensor in state.items()
        if key.startswith("backbone.")
    }


def refuse_backbone_alone(
    source: str, state: Mapping[str, Tensor], allow_missing: Sequence[str]
) -> None:
    """Refuse weights of a backbone where those of a whole model are expected, and say where to.

    Raises:
        CheckpointError: If no key belongs to a part of a recognition model.
    """
    parts = (*_WHOLE, "models.")
    if any(key.startswith(parts) for key in state) or matches_any("backbone.x", allow_missing):
        return
    shown = ", ".join(map(shown_key, list(state)[:3]))
    raise CheckpointError(
        f"{source}: holds no backbone., neck. or head. tensors but {shown}, ...: the weights of a "
        "backbone alone. Give the file as Arch.Backbone.pretrained."
    )


def _tensor(array: Any) -> Tensor:
    # what was read from a file may not be written to; a view may be transposed
    return torch.from_numpy(array.copy(order="C"))
