"""Finding the tensor a loss works on in the model's output."""

from __future__ import annotations

from torch import Tensor

from lookalike.geometry import at_least_float32
from lookalike.losses.directions import directions
from lookalike.types import ModelOutput, PartialLogits


def read(output: ModelOutput | Tensor, key: str, loss: str, *, normalize: bool = False) -> Tensor:
    """Return ``output[key]`` as ``[B, ...]`` in float32 or better; a bare tensor is taken as it.

    Args:
        output: Of the model.
        key: What to read.
        loss: Who reads it, for the message.
        normalize: Scale the rows to length one.

    Raises:
        ValueError: If the model does not produce it; tells what it does produce.
    """
    values = at_least_float32(_find(output, key, loss))
    return directions(values) if normalize else values


def _find(output: ModelOutput | Tensor, key: str, loss: str) -> Tensor:
    if isinstance(output, Tensor):
        return output
    if key not in output:
        known = ", ".join(output)
        hint = " Add an Arch.Head." if key == "logits" else ""
        raise ValueError(f"{loss} reads '{key}', the model's output has {known}.{hint}")
    value = output[key]
    if isinstance(value, PartialLogits):
        raise ValueError(
            f"{loss} reads all logits, which the head keeps in parts; take chunk_size and "
            "sample_rate from the head."
        )
    assert isinstance(value, Tensor)
    return value.flatten(1) if value.ndim > 2 else value
