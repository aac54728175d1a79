"""Images sheared, shifted and rotated by bilinear sampling; what becomes empty is black."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lookalike.data.transforms.kernels import kernels_for

Pixels = NDArray[np.uint8]


def warp(pixels: Pixels, matrix: Sequence[float]) -> Pixels:
    """Return the image whose place (x, y) shows ``a x + b y + c, d x + e y + f`` of this one.

    The same pixels as Pillow's ``transform`` gives.

    Args:
        pixels: ``[H, W, 3]`` uint8, or gray.
        matrix: a to f.

    Raises:
        ValueError: If the matrix is not six finite numbers.

    Example:
        >>> warp(np.array([[1, 2, 3]], dtype=np.uint8), (1, 0, 1, 0, 1, 0)).tolist()
        [[2, 3, 0]]
    """
    if len(matrix) != 6 or not all(map(math.isfinite, matrix)):
        raise ValueError(f"matrix: six finite numbers expected, got {list(matrix)}.")
    a, b, c, d, e, f = matrix
    if (a, b, d, e) == (1, 0, 0, 1) and c == int(c) and f == int(f):
        return _shift(pixels, int(c), int(f))
    kernels = kernels_for(pixels)
    if kernels is None:
        picture = Image.fromarray(pixels)
        rule = Image.Resampling.BILINEAR
        return np.asarray(picture.transform(picture.size, Image.Transform.AFFINE, matrix, rule))
    warped = np.empty_like(pixels)
    kernels.warp_bilinear(pixels, np.array(matrix, dtype=np.float64), warped)
    return warped


def _shift(pixels: Pixels, right: int, down: int) -> Pixels:
    """Take each pixel from so many to the right and below."""
    height, width = pixels.shape[:2]
    shifted = np.zeros_like(pixels)
    left, top = max(-right, 0), max(-down, 0)
    rows, columns = max(height - abs(down), 0), max(width - abs(right), 0)
    shifted[top : top + rows, left : left + columns] = pixels[
        top + down : top + down + rows, left + right : left + right + columns
    ]
    return shifted


def rotate(pixels: Pixels, angle: float) -> Pixels:
    """Rotate by so many degrees counter-clockwise about the middle, as Pillow does.

    Example:
        >>> rotate(np.array([[1, 2]], dtype=np.uint8), 180).tolist()
        [[2, 1]]
    """
    if angle % 360 == 0:
        return pixels
    if angle % 90 == 0:
        return np.asarray(Image.fromarray(pixels).rotate(angle, Image.Resampling.BILINEAR))
    height, width = pixels.shape[:2]
    x, y = width / 2, height / 2
    # the way back from the result to the source, with Pillow's 15 decimals
    radians = -math.radians(angle % 360.0)
    cosine, sine = round(math.cos(radians), 15), round(math.sin(radians), 15)
    across = cosine * -x + sine * -y + 0.0 + x
    down = round(-math.sin(radians), 15) * -x + cosine * -y + 0.0 + y
    return warp(pixels, (cosine, sine, across, round(-math.sin(radians), 15), cosine, down))
