"""Another size for an image, with the resampling rule of OpenCV or of Pillow."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Interpolation = Literal["nearest", "bilinear", "box", "bicubic", "lanczos", "hamming", "random"]

_PIL = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "hamming": Image.Resampling.HAMMING,
}


class ResizeImage:
    """Resize to a size, or until the short side has a length.

    ``backend: cv2`` samples without anti-aliasing, as OpenCV does, bit for bit in the bilinear
    case; ``pil`` filters over the whole source area. A model must be used with the backend it was
    trained with.

    Args:
        size: Edge of a square, or ``[width, height]``.
        short_side: Length of the short side; the aspect is kept. Give this or ``size``.
        interpolation: ``nearest``, ``bilinear``, ``bicubic``, ...; ``random`` draws bilinear or
            bicubic for each image.
        backend: Whose resampling rule.
        return_numpy: False makes ``backend: pil`` return a PIL image.

    Raises:
        ValueError: If neither or both of ``size`` and ``short_side`` are given.

    Example:
        >>> ResizeImage(size=[4, 2])(np.zeros((9, 9, 3), dtype=np.uint8)).shape
        (2, 4, 3)
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        short_side: int | None = None,
        interpolation: Interpolation | None = None,
        backend: Literal["cv2", "pil"] = "cv2",
        return_numpy: bool = True,
    ) -> None:
        if (size is None) == (short_side is None):
            raise ValueError("give either size or short_side (resize_short).")
        if size is not None:
            size = (size, size) if isinstance(size, int) else tuple(size)
            if len(size) != 2 or min(size) < 1:
                raise ValueError(f"size must be one or two positive numbers, got {list(size)}.")
        self.size, self.short_side = size, short_side
        self.interpolation, self.backend = interpolation or "bilinear", backend
        self.return_numpy = return_numpy
        if backend == "cv2" and self.interpolation not in ("nearest", "bilinear"):
            raise ValueError(
                f"interpolation {self.interpolation!r} needs backend: pil; the cv2 rule is "
                "available for nearest and bilinear."
            )

    def __call__(self, image: Any) -> Any:
        is_pil = isinstance(image, Image.Image)
        height, width = (image.height, image.width) if is_pil else image.shape[:2]
        size = self._target(width, height)
        rule = self.interpolation
        if rule == "random":
            rule = random.choice(("bilinear", "bicubic"))
        if self.backend == "cv2":
            return resize_like_cv2(np.asarray(image), size, rule)
        picture = image if is_pil else Image.fromarray(image)
        picture = picture.resize(size, _PIL[rule])
        return np.asarray(picture) if self.return_numpy else picture

    def _target(self, width: int, height: int) -> tuple[int, int]:
        if self.size is not None:
            return self.size[0], self.size[1]
        assert self.short_side is not None
        scale = self.short_side / min(width, height)
        return round(width * scale), round(height * scale)


def resize_like_cv2(
    image: NDArray[np.uint8], size: tuple[int, int], interpolation: str = "bilinear"
) -> NDArray[np.uint8]:
    """Resize ``[H, W, 3]`` uint8 the way OpenCV's ``resize`` does.

    The bilinear rule is OpenCV's fixed-point arithmetic: 11-bit weights, the horizontal pass kept
    in 32 bits, the vertical pass with two truncating shifts and one rounding one.

    Args:
        image: Source pixels.
        size: ``(width, height)`` of the result.
        interpolation: ``nearest`` or ``bilinear``.
    """
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    if interpolation == "nearest":
        rows = np.minimum(np.arange(size[1]) * height // size[1], height - 1)
        columns = np.minimum(np.arange(size[0]) * width // size[0], width - 1)
        nearest: NDArray[np.uint8] = image[rows[:, None], columns]
        return nearest
    left, right, weight_left, weight_right = _two_taps(width, size[0])
    above, below, weight_above, weight_below = _two_taps(height, size[1])
    rows, place = np.unique(np.concatenate([above, below]), return_inverse=True)
    source = image[rows].astype(np.int32)
    across = source[:, left] * weight_left[:, None] + source[:, right] * weight_right[:, None]
    across >>= 4
    high, low = across[place[: size[1]]], across[place[size[1] :]]
    mixed = ((weight_above[:, None, None] * high) >> 16) + (
        (weight_below[:, None, None] * low) >> 16
    )
    resized: NDArray[np.uint8] = np.clip((mixed + 2) >> 2, 0, 255).astype(np.uint8)
    return resized


@lru_cache(maxsize=512)
def _two_taps(length: int, target: int) -> tuple[NDArray[Any], ...]:
    """Return the two source places of each target place and their 11-bit weights."""
    position = (np.arange(target) + 0.5) * (length / target) - 0.5
    first = np.floor(position).astype(np.int64)
    fraction = (position - first).astype(np.float32)
    outside = (first < 0) | (first >= length - 1)
    fraction = np.where(outside, np.float32(0.0), fraction)
    first = np.clip(first, 0, length - 1)
    second = np.minimum(first + 1, length - 1)
    weights = [np.rint(part * 2048).astype(np.int32) for part in (1.0 - fraction, fraction)]
    return first, second, weights[0], weights[1]
