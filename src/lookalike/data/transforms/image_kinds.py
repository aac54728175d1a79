"""The kinds of image a chain may carry: array, PIL image, tensor; and what holds for all three."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from PIL import Image
from torch import Tensor

PILInterpolation = Literal["nearest", "bilinear", "bicubic", "box", "lanczos", "hamming"]

PIL_RULES: dict[str, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
    "lanczos": Image.Resampling.LANCZOS,
    "hamming": Image.Resampling.HAMMING,
}


def size_of(image: Any) -> tuple[int, int]:
    """Return (width, height).

    Example:
        >>> size_of(np.zeros((2, 5, 3))), size_of(np.zeros((3, 2, 5)))
        ((5, 2), (5, 2))
    """
    if isinstance(image, Image.Image):
        return image.width, image.height
    height, width = image.shape[-2:] if channels_first(image) else image.shape[:2]
    return int(width), int(height)


def channels_first(image: Any) -> bool:
    """Tell whether an array or tensor is ``[3, H, W]``; tensors always are."""
    if isinstance(image, Tensor):
        return True
    shape = image.shape
    return len(shape) == 3 and shape[0] in (1, 3) and shape[2] not in (1, 3, 4)


def crop(image: Any, left: int, top: int, width: int, height: int) -> Any:
    """Cut a window out of an image of any kind; it must lie inside."""
    if isinstance(image, Image.Image):
        return image.crop((left, top, left + width, top + height))
    if channels_first(image):
        return image[:, top : top + height, left : left + width]
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def through_pil(
    image: Any, change: Callable[[Image.Image], Image.Image], name: str = "this transform"
) -> Any:
    """Apply a change of PIL images to a PIL image or a uint8 array; the kind is kept.

    Raises:
        ValueError: For an image that is not uint8, which PIL cannot hold in colour.
    """
    if isinstance(image, Image.Image):
        return change(image)
    return np.asarray(change(as_pil(image, name)))


def as_pil(image: Any, name: str = "this transform") -> Image.Image:
    """Return a PIL image.

    Raises:
        ValueError: For an array that is not uint8, or a tensor.
    """
    if isinstance(image, Image.Image):
        return image
    if isinstance(image, Tensor) or image.dtype != np.uint8:
        kind = "a tensor" if isinstance(image, Tensor) else f"{image.dtype} pixels"
        raise ValueError(
            f"{name} needs uint8 pixels, got {kind}; put it before ToTensor and the normalisation."
        )
    return Image.fromarray(np.ascontiguousarray(image))


def width_height(size: Any, name: str = "size") -> tuple[int, int]:
    """Read one number or a pair of them, both at least 1.

    Example:
        >>> width_height(4), width_height([4, 6])
        ((4, 4), (4, 6))
    """
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"{name} must be one or two positive numbers, got {list(pair)}.")
    return int(pair[0]), int(pair[1])
