"""Changes of colour that look at a value alone: a table of 256 values for each channel.

The tables are those of Pillow's ``ImageOps``; a picture is counted and changed in one pass each.
"""

# Shape letters: C = channels, 1 or 3

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lookalike.data.transforms.kernels import kernels_for

Pixels = NDArray[np.uint8]
Table = NDArray[np.uint8]
"""``[C, 256]``"""

_VALUES = np.arange(256)


def look_up(pixels: Pixels, table: Table) -> Pixels:
    """Return an image with the table's value of each value.

    Example:
        >>> look_up(np.zeros((1, 1, 3), dtype=np.uint8), solarizing(0)).tolist()
        [[[255, 255, 255]]]
    """
    kernels = kernels_for(pixels)
    if kernels is None:
        picture = Image.fromarray(pixels)
        channels = len(picture.getbands())
        return np.asarray(picture.point(np.broadcast_to(table, (channels, 256)).ravel().tolist()))
    changed = np.empty_like(pixels)
    kernels.look_up(pixels, np.array(np.broadcast_to(table, (3, 256)), order="C"), changed)
    return changed


def count_values(pixels: Pixels) -> NDArray[np.int64]:
    """Return how often each value occurs in each channel, ``[C, 256]``."""
    kernels = kernels_for(pixels)
    if kernels is None:
        counts = np.array(Image.fromarray(pixels).histogram(), dtype=np.int64)
        return counts.reshape(-1, 256)
    counts = np.zeros((3, 256), dtype=np.int64)
    kernels.count_values(pixels, counts)
    return counts


def autocontrast(counts: NDArray[np.int64]) -> Table:
    """Return the table that spreads each channel to 0 to 255.

    Example:
        >>> int(autocontrast(np.bincount([100, 110], minlength=256)[None])[0, 105])
        127
    """
    used = counts > 0
    lowest, highest = used.argmax(axis=1), 255 - used[:, ::-1].argmax(axis=1)
    span = highest - lowest
    scale = (255.0 / np.maximum(span, 1))[:, None]
    spread = np.trunc(_VALUES * scale + -lowest[:, None] * scale).clip(0, 255)
    return np.where(span[:, None] > 0, spread, _VALUES).astype(np.uint8)


def equalizing(counts: NDArray[np.int64]) -> Table:
    """Return the table that makes all values equally frequent."""
    up_to = counts.cumsum(axis=1)
    below = up_to - counts
    # without the highest value that occurs
    step = below.max(axis=1, where=counts > 0, initial=0)[:, None] // 255
    shares = np.minimum((step // 2 + below) // np.maximum(step, 1), 255)
    return np.where(step > 0, shares, _VALUES).astype(np.uint8)


def posterizing(bits: int) -> Table:
    """Return the table ``[1, 256]`` that keeps the highest bits of each value.

    Raises:
        ValueError: If there are not 1 to 8 bits to keep.
    """
    if not 1 <= bits <= 8:
        raise ValueError(f"a value has 1 to 8 bits to keep, got {bits}.")
    return (_VALUES & (256 - (1 << (8 - bits)))).astype(np.uint8)[None]


def solarizing(threshold: int) -> Table:
    """Return the table ``[1, 256]`` that inverts what is at least as bright as the threshold."""
    return np.where(threshold > _VALUES, _VALUES, 255 - _VALUES).astype(np.uint8)[None]
