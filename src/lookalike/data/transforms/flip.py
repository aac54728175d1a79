"""Mirror images."""

from __future__ import annotations

import random
from typing import Any, Literal

import numpy as np
from PIL import Image
from torch import Tensor

from lookalike.data.transforms.kernels import kernels_for


class RandomFlip:
    """Mirror some of the images.

    Args:
        flip_code: 1 left-right, 0 upside down, -1 both.
        probability: Share of images that are mirrored.

    Raises:
        ValueError: For another flip_code.
    """

    def __init__(self, flip_code: Literal[1, 0, -1] = 1, probability: float = 0.5) -> None:
        if flip_code not in (1, 0, -1):
            raise ValueError(f"flip_code must be 1, 0 or -1, got {flip_code!r}.")
        self.flip_code, self.probability = flip_code, probability

    def __call__(self, image: Any) -> Any:
        return flip(image, self.flip_code) if random.random() < self.probability else image


def flip(image: Any, flip_code: int) -> Any:
    """Mirror an array ``[H, W, 3]``, a PIL image or a tensor ``[3, H, W]``.

    Args:
        image: What to mirror.
        flip_code: 1 left-right, 0 upside down, -1 both.

    Example:
        >>> flip(np.arange(4).reshape(2, 2, 1), -1).ravel().tolist()
        [3, 2, 1, 0]
    """
    if isinstance(image, Image.Image):
        if flip_code in (1, -1):
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if flip_code in (0, -1):
            image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        return image
    if isinstance(image, Tensor):
        return image.flip({1: (-1,), 0: (-2,), -1: (-2, -1)}[flip_code])
    kernels = kernels_for(image) if flip_code == 1 else None
    if kernels is not None:
        mirrored = np.empty_like(image)
        kernels.mirror(image, mirrored)
        return mirrored
    if flip_code in (1, -1):
        image = image[:, ::-1]
    if flip_code in (0, -1):
        image = image[::-1]
    return np.ascontiguousarray(image)
