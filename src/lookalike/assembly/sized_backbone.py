"""Backbones of other libraries, built for the images of the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from lookalike.assembly.components import Ready
from lookalike.errors import ComponentError
from lookalike.models.backbones.image_size import native_size, refusal, size_arguments
from lookalike.models.backbones.library import library_backbone


def of_size(ready: Ready, image_shape: Sequence[int] | None, notes: list[str]) -> nn.Module:
    """Make a backbone for images of a size.

    A model of timm or torchvision that was made for one size only is built with the size as an
    argument; its first weights are those that the same argument in the YAML would give.

    Args:
        ready: The checked component.
        image_shape: ``[3, H, W]``; None builds it as it is.
        notes: Gets a line if the size was passed on.

    Raises:
        ComponentError: If it does not take images of that size.
    """
    before = torch.get_rng_state()
    module: nn.Module = ready.make()
    # chains of our own take any size that is large enough
    if image_shape is None or isinstance(module, nn.Sequential):
        return module
    if native_size(module) == tuple(image_shape[1:]):
        return module
    reason = refusal(module, image_shape)
    if not reason:
        return module
    for argument in size_arguments(image_shape):
        ((word, size),) = argument.items()
        if ready.target is not library_backbone or word in ready.args:
            continue
        torch.set_rng_state(before)
        try:
            sized = replace(ready, args={**ready.args, **argument}).make()
        except Exception:  # noqa: BLE001 - constructors of other libraries fail in every way
            continue
        if not refusal(sized, image_shape):
            notes.append(f"{ready.name} is built with {word}: {size}, of Global.image_shape.")
            return sized  # type: ignore[no-any-return]
    raise ComponentError("backbone", ready.name, _no_such_size(ready, module, image_shape, reason))


def _no_such_size(ready: Ready, module: nn.Module, image_shape: Sequence[int], reason: str) -> str:
    height, width = image_shape[1:]
    text = f"does not take images of {height} x {width} pixels ({reason.rstrip('.')})."
    given = [word for one in size_arguments(image_shape) for word in one if word in ready.args]
    if given:
        return f"{text} Set {given[0]} to [{height}, {width}], or change Global.image_shape."
    if (native := native_size(module)) is not None:
        text += f" It was made for {native[0]} x {native[1]}."
    return f"{text} Change Global.image_shape, and the transforms with it, or the backbone."
