"""A weight file of any origin to tensors under a model's own names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lookalike.assembly.dialect import read_reference, reference_file, translate_weights
from lookalike.errors import CheckpointError
from lookalike.models.weights import matches_any, read_weights

_WHOLE = ("backbone.", "neck.", "head.")
# tensors of the reference's losses; only a resumed run has a use for them
_OF_LOSSES = "loss_func."


def read_model(
    source: str, backbones: Mapping[str, str], notes: list[str] | None = None
) -> dict[str, Tensor]:
    """Read the weights of a whole model.

    Args:
        source: A file or folder of Lookalike, of PyTorch, or of the reference.
        backbones: Name of the backbone by name of the model; a single model's name is empty.
        notes: Gets a line for what the file holds and a model has no use for.

    Raises:
        CheckpointError: If the file is missing, damaged or not to be trusted.
    """
    path = reference_file(source)
    if path is None:
        return read_weights(source)
    found = read_reference(path)
    arrays: dict[str, Any] = {}
    for name, backbone in backbones.items():
        mine = f"{name}." if name else ""
        own = {
            key.removeprefix(mine): array
            for key, array in found.arrays.items()
            if key.startswith(mine)
        }
        translated = translate_weights(own, backbone)
        place = f"models.{name}." if name else ""
        arrays |= {f"{place}{key}": array for key, array in translated.arrays.items()}
    losses = [key for key in arrays if key.startswith(_OF_LOSSES)]
    if losses and notes is not None:
        notes.append(f"{path}: {len(losses)} tensors of losses are not part of the model.")
    return {key: _tensor(array) for key, array in arrays.items() if key not in losses}


def read_backbone(source: str, backbone: str) -> dict[str, Tensor]:
    """Read the weights of a backbone; of a whole model's file its backbone is taken.

    Raises:
        CheckpointError: As :func:`read_model`.
    """
    state = read_model(source, {"": backbone})
    whole = all(key.startswith(_WHOLE) for key in state)
    if not whole:
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
    shown = ", ".join(list(state)[:3])
    raise CheckpointError(
        f"{source}: holds no backbone., neck. or head. tensors but {shown}, ...: the weights of a "
        "backbone alone. Give the file as Arch.Backbone.pretrained."
    )


def _tensor(array: Any) -> Tensor:
    # what was read from a file may not be written to; a view may be transposed
    return torch.from_numpy(array.copy(order="C"))
