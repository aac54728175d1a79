"""OpenCV's ``resize`` in numpy: the same taps, the same fixed-point steps, no OpenCV."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lookalike.data.transforms.kernels import kernels_for

CV2Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "area"]

_ONE = 2048  # weights of 8-bit images are whole numbers of 1 / 2048
_TAPS = {"bilinear": 2, "area": 2, "bicubic": 4, "lanczos": 8}
_CUBIC = np.float32(-0.75)  # Pillow and Matlab have -0.5


def resize_like_cv2(
    image: NDArray[Any], size: tuple[int, int], interpolation: str = "bilinear"
) -> NDArray[Any]:
    """Resize ``[H, W, 3]`` the way OpenCV's ``resize`` does.

    8-bit images go through OpenCV's integer arithmetic: 11-bit weights, the horizontal pass kept
    whole, the vertical pass with one rounding at the end (bilinear: two truncating shifts and a
    rounding one). ``bicubic``, which OpenCV's usual builds leave to Intel's library, ``area`` and
    other types than uint8 are computed in float32. Nothing is anti-aliased but ``area``.

    Source: https://github.com/opencv/opencv/blob/4.x/modules/imgproc/src/resize.cpp

    Args:
        image: Source pixels, uint8 or floating point.
        size: ``(width, height)`` of the result.
        interpolation: ``nearest``, ``bilinear``, ``bicubic``, ``lanczos`` or ``area``.

    Raises:
        ValueError: If a side of the image or of the result has no pixel.
    """
    height, width = image.shape[:2]
    if min(height, width, *size) < 1:
        raise ValueError(f"an image of {width} x {height} cannot be resized to {size}.")
    if (width, height) == size:
        return image
    if interpolation == "nearest":
        rows, columns = _nearest(height, size[1]), _nearest(width, size[0])
        nearest: NDArray[Any] = image[rows[:, None], columns]
        return nearest
    kernels = kernels_for(image) if interpolation == "bilinear" else None
    if kernels is not None:
        resized = np.empty((size[1], size[0], 3), dtype=np.uint8)
        kernels.resize_bilinear(image, *_compiled_taps((width, height), size), resized)
        return resized
    pixels = image.reshape(height, width, -1)
    if interpolation == "area" and width >= size[0] and height >= size[1]:
        resized = _average(pixels, size)
    else:
        # an enlarging area rule is the bilinear one with other places
        resized = _resample(pixels, size, interpolation)
    return resized.reshape(size[1], size[0], *image.shape[2:])


@lru_cache(maxsize=512)
def _nearest(length: int, target: int) -> NDArray[np.int64]:
    step = 1.0 / (target / length)
    places: NDArray[np.int64] = np.floor(np.arange(target) * step).astype(np.int64)
    return np.minimum(places, length - 1)


def _resample(pixels: NDArray[Any], size: tuple[int, int], rule: str) -> NDArray[Any]:
    """Weigh a few taps along each row, then along each column."""
    exact = pixels.dtype == np.uint8 and rule != "bicubic"
    across_at, across_weights = _taps(pixels.shape[1], size[0], rule, exact, True)
    down_at, down_weights = _taps(pixels.shape[0], size[1], rule, exact, False)
    # only rows that a tap looks at
    rows, place = np.unique(down_at, return_inverse=True)
    place = place.reshape(down_at.shape)
    source = pixels[rows].astype(np.int32 if exact else np.float32)
    across = source[:, across_at[0]] * across_weights[0][:, None]
    for at, weights in zip(across_at[1:], across_weights[1:], strict=True):
        across += source[:, at] * weights[:, None]
    if exact and len(down_at) == 2:
        across >>= 4
        terms = [
            (w[:, None, None] * across[at]) >> 16 for at, w in zip(place, down_weights, strict=True)
        ]
        return _to_bytes((terms[0] + terms[1] + 2) >> 2)
    if exact:
        across = across.astype(np.int64)
    mixed: NDArray[Any] = down_weights[0][:, None, None] * across[place[0]]
    for at, weights in zip(place[1:], down_weights[1:], strict=True):
        mixed += weights[:, None, None] * across[at]
    if exact:
        return _to_bytes((mixed + (1 << 21)) >> 22)
    return _to_bytes(np.rint(mixed)) if pixels.dtype == np.uint8 else _as_before(mixed, pixels)


@lru_cache(maxsize=256)
def _compiled_taps(source: tuple[int, int], size: tuple[int, int]) -> tuple[NDArray[Any], ...]:
    """Return the taps of 8-bit bilinear as the kernel takes them: columns as places in a row."""
    across_at, across_weights = _taps(source[0], size[0], "bilinear", True, True)
    down_at, down_weights = _taps(source[1], size[1], "bilinear", True, False)
    taps = (across_at * 3).astype(np.uint64), across_weights, down_at, down_weights
    return tuple(np.ascontiguousarray(array) for array in taps)


def _to_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    whole: NDArray[np.uint8] = np.clip(values, 0, 255).astype(np.uint8)
    return whole


def _as_before(values: NDArray[Any], source: NDArray[Any]) -> NDArray[Any]:
    converted: NDArray[Any] = values.astype(source.dtype)
    return converted


@lru_cache(maxsize=512)
def _taps(
    length: int, target: int, rule: str, exact: bool, across: bool
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return source places and weights ``[taps, target]``; 11-bit whole weights if ``exact``."""
    places, scale = np.arange(target), 1.0 / (target / length)
    if rule == "area":
        first = np.floor(places * scale)
        fraction = ((places + 1) - (first + 1) * (target / length)).astype(np.float32)
        fraction = np.where(fraction <= 0, np.float32(0), fraction - np.floor(fraction))
    else:
        position = ((places + 0.5) * scale - 0.5).astype(np.float32)
        first = np.floor(position)
        fraction = position - first
    if _TAPS[rule] == 2 and across:
        # down the columns OpenCV weighs the border row with itself, which truncates twice
        outside = (first < 0) | (first >= length - 1)
        fraction = np.where(outside, np.float32(0.0), fraction)
        first = np.clip(first, 0, length - 1)
    count = _TAPS[rule]
    at = first.astype(np.int64) + np.arange(1 - count // 2, count // 2 + 1)[:, None]
    weights = _weights(fraction, count)
    if exact:
        weights = np.rint(weights * _ONE).astype(np.int32)
    return np.clip(at, 0, length - 1), weights


def _weights(x: NDArray[np.float32], count: int) -> NDArray[Any]:
    """Return the weights ``[count, N]`` of the taps around a place ``x`` behind the middle left."""
    if count == 2:
        return np.stack([1 - x, x])
    if count == 4:
        a, one = _CUBIC, np.float32(1)
        far = ((a * (x + one) - 5 * a) * (x + one) + 8 * a) * (x + one) - 4 * a
        near = ((a + 2) * x - (a + 3)) * x * x + one
        y = one - x
        next_ = ((a + 2) * y - (a + 3)) * y * y + one
        return np.stack([far, near, next_, one - far - near - next_])
    tap = np.arange(8)[:, None]
    distance = np.asarray(x, dtype=np.float64) + 3 - tap
    here = np.abs(distance) < 1e-6
    quarter = np.where(here, 1.0, distance) * (-np.pi / 4)
    sign = np.where(tap % 2 == 0, 1.0, -1.0)
    weights: NDArray[np.float32] = np.where(here, 1e30, sign * np.sin(quarter) / quarter**2).astype(
        np.float32
    )
    normed: NDArray[np.float32] = weights / weights.sum(axis=0)
    return normed


def _average(pixels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Average over the source area of each target pixel."""
    height, width, channels = pixels.shape
    across, down = width / size[0], height / size[1]
    if across.is_integer() and down.is_integer():
        blocks = pixels.reshape(size[1], int(down), size[0], int(across), channels)
        if pixels.dtype != np.uint8:
            return _as_before(blocks.mean(axis=(1, 3), dtype=np.float32), pixels)
        total = blocks.sum(axis=(1, 3), dtype=np.int32)
        if across == down == 2:
            return _to_bytes((total + 2) >> 2)
        return _to_bytes(np.rint(total * np.float32(1.0 / (across * down))))
    source = pixels.astype(np.float32)
    rows = np.tensordot(_shares(width, size[0]), source, axes=(1, 1))
    mixed = np.tensordot(_shares(height, size[1]), rows, axes=(1, 1))
    if pixels.dtype != np.uint8:
        return _as_before(mixed, pixels)
    return _to_bytes(np.rint(mixed))


@lru_cache(maxsize=64)
def _shares(length: int, target: int) -> NDArray[np.float32]:
    """Return the share ``[target, length]`` of each source pixel in each target pixel."""
    scale = 1.0 / (target / length)
    start = np.arange(target)[:, None] * scale
    cell = np.minimum(scale, length - start)
    pixel = np.arange(length)[None, :]
    covered = np.minimum(pixel + 1, start + scale) - np.maximum(pixel, start)
    # OpenCV drops slivers
    covered = np.where(covered > 1e-3, covered, 0.0)
    shares: NDArray[np.float32] = (covered / cell).astype(np.float32)
    return shares
