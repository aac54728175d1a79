"""Finding the tensor a loss works on in the model's output."""

from __future__ import annotations

from torch import Tensor

from lookalike.types import ModelOutput


def read(output: ModelOutput | Tensor, key: str, loss: str) -> Tensor:
    """Return ``output[key]``; a bare tensor is taken as that output.

    Raises:
        ValueError: If the model does not produce it; tells what it does produce.
    """
    if isinstance(output, Tensor):
        return output
    if key not in output:
        known = ", ".join(output)
        hint = " Add an Arch.Head." if key == "logits" else ""
        raise ValueError(f"{loss} reads '{key}', the model's output has {known}.{hint}")
    value = output[key]
    assert isinstance(value, Tensor)
    return value.flatten(1) if value.ndim > 2 else value
