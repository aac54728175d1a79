"""Where the compiled kernels come from, and which images they take.

Each has a plain counterpart in numpy or Pillow with the same result, to the bit.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from lookalike.compiling import kernels_in


@cache
def compiled() -> Any:
    """Return the module of the kernels, or None where numba is missing or does not work.

    It is imported when the first image comes: numba takes half a second.
    """
    return kernels_in("lookalike.data.transforms.compiled")


def kernels_for(image: Any) -> Any:
    """Return the kernels if they take this image: ``[H, W, 3]`` uint8 in one piece; else None.

    Example:
        >>> kernels_for(np.zeros((4, 4), dtype=np.uint8)) is None
        True
    """
    fits = (
        isinstance(image, np.ndarray)
        and image.dtype == np.uint8
        and image.ndim == 3
        and image.shape[2] == 3
        and image.size > 0
        and image.flags.carray
    )
    return compiled() if fits else None
