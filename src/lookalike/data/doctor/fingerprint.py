"""What an image looks like, in 64 bits and a few colours, to find it again re-saved or resized."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lookalike.data.decode import RGBImage

SIDE = 32
NUM_COLOURS = 48
LUMA = np.array([0.299, 0.587, 0.114])

_FREQUENCIES = np.arange(1, 9)
# cosines 1 to 8 of a row of 32 pixels; 0, the mean, says how bright an image is, not what it shows
_COSINES = np.cos(np.pi * _FREQUENCIES[:, None] * (np.arange(SIDE) + 0.5) / SIDE)


def fingerprint(pixels: RGBImage) -> tuple[int, bytes]:
    """Return a perceptual hash of 64 bits and the mean colours of a grid of 4 by 4.

    The hash tells which of 64 low spatial frequencies of the brightness lie above their median. A
    re-saved, resized or slightly retouched copy differs in few bits. It does not see colour, so
    the 48 numbers stand beside it: a red and a blue car of one make are no copies.

    Source: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010,
    section 3.2.1 (the hash of the discrete cosine transform).

    Args:
        pixels: ``[H, W, 3]`` RGB.

    Example:
        >>> ramp = np.arange(4096, dtype=np.uint8).reshape(64, 64)
        >>> one = np.stack([ramp, ramp, ramp], axis=2)
        >>> fingerprint(one)[0] == fingerprint(one[:, ::-1])[0]
        False
        >>> len(fingerprint(one)[1])
        48
    """
    small = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX)
    colours = np.asarray(small, dtype=np.float64)
    spectrum = _COSINES @ (colours @ LUMA) @ _COSINES.T
    bits = spectrum.ravel() > np.median(spectrum)
    grid = colours.reshape(4, SIDE // 4, 4, SIDE // 4, 3).mean(axis=(1, 3))
    return int.from_bytes(np.packbits(bits).tobytes()), grid.round().astype(np.uint8).tobytes()


def distances(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return how many bits two columns of hashes differ in.

    Example:
        >>> distances(np.array([0b1011], np.uint64), np.array([0b0001], np.uint64)).tolist()
        [2]
    """
    bits: NDArray[np.uint8] = np.bitwise_count(one ^ other)
    return bits
