"""Backbones made for one size of image, built for another."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lookalike.models.evaluating import evaluating


def refusal(module: nn.Module, image_shape: Sequence[int]) -> str:
    """Return why a network cannot compute an image of a shape; empty if it can.

    Args:
        module: Any network.
        image_shape: ``[3, H, W]``.

    Example:
        >>> refusal(nn.Conv2d(3, 4, 3), [3, 8, 8])
        ''
        >>> refusal(nn.Conv2d(3, 4, 9), [3, 8, 8])
        "Calculated padded input size per channel: (8 x 8). Kernel size: (9 x 9). \
Kernel size can't be greater than actual input size"
    """
    try:
        with evaluating(module):
            module(torch.zeros(1, *image_shape))
    except Exception as error:  # noqa: BLE001 - networks of other libraries fail in every way
        return (str(error) or type(error).__name__).splitlines()[0][:200]
    return ""


def native_size(module: nn.Module) -> tuple[int, ...] | None:
    """Return the ``(H, W)`` a network of timm was made for, if it says so."""
    config = getattr(module, "pretrained_cfg", None) or {}
    size = config.get("input_size")
    return tuple(size[1:]) if size else None


def size_arguments(image_shape: Sequence[int]) -> list[dict[str, Any]]:
    """Return what constructors of timm and torchvision call the size of an image.

    Example:
        >>> size_arguments([3, 128, 64])
        [{'img_size': (128, 64)}, {'input_size': (128, 64)}]
    """
    _, height, width = image_shape
    arguments: list[dict[str, Any]] = [{"img_size": (height, width)}]
    if height == width:
        arguments.append({"image_size": height})
    return [*arguments, {"input_size": (height, width)}]


def resampled(module: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bring weights that depend on the size of the images to a network's own size.

    Position embeddings, and tables of relative positions, are interpolated as the library of the
    network does. Weights that fit, or that the library cannot bring to the size, stay as they are.

    Args:
        module: Of timm or torchvision.
        state: Its weights, of another size of images.
    """
    own = module.state_dict()
    if all(own[key].shape == state[key].shape for key in own if key in state):
        return dict(state)
    adapt = getattr(sys.modules.get(type(module).__module__), "checkpoint_filter_fn", None)
    try:
        if adapt is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the way timm calls PyTorch
                return dict(adapt(dict(state), module))
        if "encoder.pos_embedding" in own:
            return _torchvision_vit(module, state)
    except Exception:  # noqa: BLE001 - loading reports what does not fit
        return dict(state)
    return dict(state)


def _torchvision_vit(module: Any, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    from torchvision.models.vision_transformer import interpolate_embeddings

    return dict(interpolate_embeddings(module.image_size, module.patch_size, dict(state)))
