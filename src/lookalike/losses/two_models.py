"""Finding the tensors that a comparison of a student with a teacher works on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lookalike.geometry import at_least_float32
from lookalike.types import ModelOutput

Pairs = list[tuple[str, str]]
Terms = dict[str, Tensor]


def two_tensors(student: Any, teacher: Any, loss: str) -> tuple[Tensor, Tensor]:
    """Return both in float32 or better.

    Raises:
        ValueError: If one is a model's whole output; names the loss that can read it.
    """
    if not (isinstance(student, Tensor) and isinstance(teacher, Tensor)):
        raise ValueError(
            f"{loss} compares two tensors, student and teacher. In a YAML, use one of the losses "
            "Distillation*, which take them out of the models' output."
        )
    return at_least_float32(student), at_least_float32(teacher)


def read_model(output: ModelOutput, model: str, key: str | None, loss: str) -> Tensor:
    """Return what one of several models produced under a key, in its own shape.

    Args:
        output: Model's name to its output.
        model: Which one.
        key: Which of its outputs; ``logits`` if None.
        loss: For the message.

    Raises:
        ValueError: If there is no such model or output; tells what there is.

    Example:
        >>> import torch
        >>> read_model({"Student": {"logits": torch.zeros(1)}}, "Student", None, "X")
        tensor([0.])
    """
    if not isinstance(output, Mapping) or model not in output:
        known = ", ".join(output) if isinstance(output, Mapping) else "a tensor"
        raise ValueError(
            f"{loss} reads the model '{model}'; the output has {known}. The names must be those "
            "under Arch.models of a DistillationModel."
        )
    found = output[model]
    if isinstance(found, Mapping):
        key = key or "logits"
        if key not in found:
            raise ValueError(f"{loss} reads '{key}' of {model}, which has {', '.join(found)}.")
        found = found[key]
    assert isinstance(found, Tensor)
    return at_least_float32(found)


def activated(values: Tensor, act: str | None) -> Tensor:
    """Return the probabilities that ``act`` makes of outputs, or the outputs themselves."""
    if act == "softmax":
        return values.softmax(dim=-1)
    return values.sigmoid() if act == "sigmoid" else values


def names_of(pairs: Pairs, loss: str) -> tuple[str, ...]:
    """Return every model that pairs of models name, once.

    Raises:
        ValueError: If there is no pair.
    """
    if not pairs:
        raise ValueError(f"{loss} needs model_name_pairs, such as [[Student, Teacher]].")
    return tuple(dict.fromkeys(name for pair in pairs for name in pair))
