"""Rectangles blanked out, so that no single part of an object decides."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Box = tuple[int, int, int, int]
"""top, left, height, width"""


class RandomErasing:
    """Blank a random rectangle.

    The fill is written in the value space the image has at this place of the chain: behind a
    normalisation, 0 is the mean colour.

    Source: Zhong et al., "Random Erasing Data Augmentation", AAAI 2020, algorithm 1.
    https://arxiv.org/abs/1708.04896

    Args:
        probability: Share of images that are erased.
        min_area: Smallest rectangle, as a fraction of the image.
        max_area: Largest rectangle, as a fraction of the image.
        min_aspect: Height over width lies between this and its inverse.
        fill: Value per channel, for mode ``const``.
        attempts: Rectangles tried before the image is left as it is.
        log_aspect: Draw the aspect uniformly in its logarithm.
        mode: ``const`` writes ``fill``, ``rand`` one random colour, ``pixel`` noise.
    """

    def __init__(
        self,
        probability: float = 0.5,
        min_area: float = 0.02,
        max_area: float = 0.4,
        min_aspect: float = 0.3,
        fill: Sequence[float] = (0.0, 0.0, 0.0),
        *,
        attempts: int = 100,
        log_aspect: bool = False,
        mode: Literal["const", "rand", "pixel"] = "const",
    ) -> None:
        if not 0.0 < min_area <= max_area:
            raise ValueError(f"areas must rise from above 0, got {min_area} to {max_area}.")
        if not 0.0 < min_aspect <= 1.0:
            raise ValueError(f"min_aspect must be in (0, 1], got {min_aspect}.")
        self.probability, self.attempts, self.mode = probability, attempts, mode
        self.min_area, self.max_area = min_area, max_area
        self.min_aspect, self.log_aspect = min_aspect, log_aspect
        self.fill = np.array(fill, dtype=np.float32).reshape(1, 1, -1)

    def __call__(self, image: Any) -> Any:
        box = self._drawn_box(image)
        if box is None:
            return image
        return self._erase(image.clone() if isinstance(image, Tensor) else image.copy(), box)

    def in_place(self, image: Any) -> Any:
        """Erase from an image that nobody else holds."""
        box = self._drawn_box(image)
        return image if box is None else self._erase(image, box)

    def _erase(self, image: Any, box: Box) -> Any:
        top, left, h, w = box
        fill = self._fill(h, w)
        if isinstance(image, Tensor):
            image[:, top : top + h, left : left + w] = torch.from_numpy(fill).permute(2, 0, 1)
        else:
            image[top : top + h, left : left + w] = fill
        return image

    def _drawn_box(self, image: Any) -> Box | None:
        if random.random() > self.probability:
            return None
        height, width = image.shape[-2:] if isinstance(image, Tensor) else image.shape[:2]
        return self._box(height, width)

    def _box(self, height: int, width: int) -> Box | None:
        for _ in range(self.attempts):
            area = random.uniform(self.min_area, self.max_area) * height * width
            aspect = self._aspect()
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if h < height and w < width:
                return random.randint(0, height - h), random.randint(0, width - w), h, w
        return None

    def _aspect(self) -> float:
        if self.log_aspect:
            bound = math.log(self.min_aspect)
            return math.exp(random.uniform(bound, -bound))
        return random.uniform(self.min_aspect, 1.0 / self.min_aspect)

    def _fill(self, height: int, width: int) -> NDArray[np.float32]:
        if self.mode == "const":
            return self.fill
        drawn = torch.randn(1, 1, 3) if self.mode == "rand" else torch.randn(height, width, 3)
        colours: NDArray[np.float32] = drawn.numpy()
        return colours
