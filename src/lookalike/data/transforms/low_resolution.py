"""Images as from a poor camera."""

from __future__ import annotations

import random
from typing import Any, get_args

import numpy as np
from PIL import Image

from lookalike.data.transforms.cv2_resize import CV2Interpolation, resize_like_cv2


class RandomLowResolution:
    """Shrink some of the images to a small square and back, each with a random interpolation.

    Makes face recognition robust to low resolution.

    Source: Kim et al., "AdaFace", CVPR 2022. https://arxiv.org/abs/2204.00964

    Args:
        probability: Share of images that are changed.
        min_side: Edge of the square is drawn between this share of the height and the height.
    """

    def __init__(self, probability: float, min_side: float = 0.2) -> None:
        if not 0.0 < min_side <= 1.0:
            raise ValueError(f"min_side must be in (0, 1], got {min_side}.")
        self.probability, self.min_side = probability, min_side

    def __call__(self, image: Any) -> Any:
        if random.random() >= self.probability:
            return image
        pixels = np.asarray(image)
        height, width = pixels.shape[:2]
        edge = max(1, int(random.uniform(self.min_side, 1.0) * height))
        rules = get_args(CV2Interpolation)
        small = resize_like_cv2(pixels, (edge, edge), random.choice(rules))
        again = resize_like_cv2(small, (width, height), random.choice(rules))
        return Image.fromarray(again) if isinstance(image, Image.Image) else again
