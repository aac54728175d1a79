"""Another size for an image, with the resampling rule of OpenCV or of Pillow."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image
from torch import Tensor

from lookalike.data.decode import MAX_PIXELS
from lookalike.data.transforms.cv2_resize import CV2Interpolation, resize_like_cv2
from lookalike.data.transforms.image_kinds import (
    PIL_RULES,
    PILInterpolation,
    as_pil,
    size_of,
    through_pil,
    width_height,
)

Interpolation = Literal[
    "nearest", "bilinear", "area", "box", "bicubic", "lanczos", "hamming", "random"
]
Backend = Literal["cv2", "pil"]

RULES: dict[str, tuple[str, ...]] = {
    "cv2": (*get_args(CV2Interpolation), "random"),
    "pil": (*get_args(PILInterpolation), "random"),
}


class ResizeImage:
    """Resize to a size, or until the short side has a length.

    ``backend: cv2`` samples without anti-aliasing, as OpenCV does, to the bit; ``pil`` filters over
    the whole source area. A model must be used with the backend it was trained with.

    Args:
        size: Edge of a square, or ``[width, height]``.
        short_side: Length of the short side; the aspect is kept. Goes before ``size``, unless 0.
        interpolation: ``bilinear`` by default; ``nearest``, ``bicubic`` and ``lanczos`` of either
            backend, ``area`` of cv2, ``box`` and ``hamming`` of pil; ``random`` draws bilinear or
            bicubic for each image.
        backend: Whose resampling rule.
        return_numpy: False makes ``backend: pil`` return a PIL image.

    Raises:
        ValueError: If neither ``size`` nor ``short_side`` is given, or the backend lacks the
            interpolation.

    Example:
        >>> ResizeImage(size=[4, 2])(np.zeros((9, 9, 3), dtype=np.uint8)).shape
        (2, 4, 3)
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        short_side: int | None = None,
        interpolation: Interpolation | None = None,
        backend: Backend = "cv2",
        return_numpy: bool = True,
    ) -> None:
        if size is None and not short_side:
            raise ValueError("give size or short_side (resize_short).")
        if short_side is not None and short_side < 0:
            raise ValueError(f"short_side must not be negative, got {short_side}.")
        self.size = None if size is None or short_side else width_height(size)
        self.short_side = short_side
        self.interpolation, self.backend = known_rule(interpolation, backend), backend
        self.return_numpy = return_numpy

    def __call__(self, image: Any) -> Any:
        size = self.size or short_side_size(size_of(image), self.short_side or 1)
        if self.backend == "pil" and not self.return_numpy:
            return resize(as_pil(image, "ResizeImage"), size, self.interpolation, self.backend)
        return resize(np.asarray(image), size, self.interpolation, self.backend)


class Resize:
    """Resize an array as OpenCV does, and a PIL image with Pillow's filters, anti-aliased.

    So the decoder decides: behind ``DecodeImage: {to_np: False, backend: pil}`` come PIL images.

    Args:
        size: Length of the short side with the aspect kept, or ``[height, width]``.
        interpolation: ``nearest``, ``bilinear``, ``bicubic`` and ``lanczos`` of either, ``area``
            of OpenCV, ``box`` and ``hamming`` of Pillow.

    Raises:
        ValueError: When it meets an image whose rules do not have the interpolation.

    Example:
        >>> Resize(4)(Image.new("RGB", (20, 10))).size
        (8, 4)
    """

    def __init__(
        self,
        size: int | Sequence[int],
        interpolation: CV2Interpolation | PILInterpolation = "bilinear",
    ) -> None:
        single = isinstance(size, int) or len(size) == 1
        pair = width_height(size if isinstance(size, int) or not single else size[0])
        self.short_side = pair[0] if single else None
        self.size = (pair[1], pair[0])
        self.interpolation = interpolation

    def __call__(self, image: Any) -> Any:
        size = self.size
        if self.short_side is not None:
            width, height = size_of(image)
            short = min(width, height)
            size = (self.short_side * width // short, self.short_side * height // short)
        if isinstance(image, Tensor):
            raise ValueError("Resize needs an array or a PIL image; put it before ToTensor.")
        backend = "pil" if isinstance(image, Image.Image) else "cv2"
        return resize(image, size, known_rule(self.interpolation, backend), backend)


def known_rule(interpolation: str | None, backend: str) -> str:
    """Return the interpolation, bilinear for None.

    Raises:
        ValueError: If the backend does not have it.
    """
    rule = interpolation or "bilinear"
    if rule not in RULES[backend]:
        raise ValueError(
            f"interpolation {rule!r} is not one of backend: {backend}, which has "
            f"{', '.join(RULES[backend])}."
        )
    return rule


def short_side_size(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Return (width, height) scaled so that the shorter one is ``short_side``.

    Example:
        >>> short_side_size((401, 300), 256)
        (342, 256)
    """
    scale = short_side / min(size)
    return round(size[0] * scale), round(size[1] * scale)


def resize(image: Any, size: tuple[int, int], interpolation: str, backend: str) -> Any:
    """Resize an array or a PIL image to (width, height); the kind is kept.

    Raises:
        ValueError: If the result would be larger than any image that is read: a picture of one
            pixel by thousands, scaled by its short side, would fill the memory.
    """
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError(f"resizing would make {size[0]} x {size[1]} pixels.")
    rule = interpolation
    if rule == "random":
        rule = random.choice(("bilinear", "bicubic"))
    if backend == "pil":
        return through_pil(image, lambda picture: picture.resize(size, PIL_RULES[rule]), "pil")
    resized = resize_like_cv2(np.asarray(image), size, rule)
    return Image.fromarray(resized) if isinstance(image, Image.Image) else resized
