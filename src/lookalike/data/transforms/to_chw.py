"""The channel axis to the front."""

from __future__ import annotations

from typing import Any

import numpy as np


class ToCHWImage:
    """Turn ``[H, W, 3]`` (array or PIL) into an array ``[3, H, W]``; data sets do it by themselves.

    Example:
        >>> ToCHWImage()(np.zeros((2, 5, 3))).shape
        (3, 2, 5)
    """

    def __call__(self, image: Any) -> Any:
        return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))

    def in_place(self, image: Any) -> Any:
        """Do the same: nothing moves where the channels lie first in memory already."""
        return self(image)
