"""Mirror images."""

from __future__ import annotations

import random
from typing import Any, Literal

import numpy as np
from PIL import Image


class RandomFlip:
    """Mirror with probability one half.

    Args:
        flip_code: 1 left-right, 0 upside down, -1 both.

    Raises:
        ValueError: For another flip_code.
    """

    def __init__(self, flip_code: Literal[1, 0, -1] = 1) -> None:
        if flip_code not in (1, 0, -1):
            raise ValueError(f"flip_code must be 1, 0 or -1, got {flip_code!r}.")
        self.flip_code = flip_code

    def __call__(self, image: Any) -> Any:
        return flip(image, self.flip_code) if random.random() < 0.5 else image


def flip(image: Any, flip_code: int) -> Any:
    """Mirror an array ``[H, W, 3]`` or a PIL image: 1 left-right, 0 upside down, -1 both.

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
    if flip_code in (1, -1):
        image = image[:, ::-1]
    if flip_code in (0, -1):
        image = image[::-1]
    return np.ascontiguousarray(image)
