"""Rotated images."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from PIL import Image

from lookalike.data.transforms.image_kinds import PIL_RULES, through_pil


class RandomRotation:
    """Rotate some of the images by a random angle.

    Args:
        degrees: Bound of the angle on either side, or ``[lowest, highest]``; counter-clockwise.
        probability: Share of images that are rotated.
        interpolation: Pillow's filter.
        expand: Enlarge the image so that its corners stay inside.
        center: ``[x, y]`` of the point that stays; the middle by default.
        fill: Colour of the corners that become empty.

    Example:
        >>> RandomRotation(90)(Image.new("RGB", (9, 5))).size
        (9, 5)
    """

    def __init__(
        self,
        degrees: float | tuple[float, float],
        probability: float = 0.5,
        interpolation: Literal["nearest", "bilinear", "bicubic"] = "nearest",
        *,
        expand: bool = False,
        center: tuple[float, float] | None = None,
        fill: int | Sequence[int] = 0,
    ) -> None:
        if isinstance(degrees, int | float):
            if degrees < 0:
                raise ValueError(f"degrees must not be negative, got {degrees}.")
            degrees = (-degrees, degrees)
        self.degrees, self.probability = degrees, probability
        self.rule = PIL_RULES[interpolation]
        self.expand, self.center = expand, center
        self.fill = (fill,) * 3 if isinstance(fill, int) else tuple(fill)

    def __call__(self, image: Any) -> Any:
        if random.random() >= self.probability:
            return image
        angle = random.uniform(*self.degrees)

        def rotate(picture: Image.Image) -> Image.Image:
            return picture.rotate(
                angle, self.rule, expand=self.expand, center=self.center, fillcolor=self.fill
            )

        return through_pil(image, rotate, "RandomRotation")


class RandomRot90:
    """Rotate by 0, 90, 180 or 270 degrees counter-clockwise, and say which.

    Learning to tell the orientation is a task that needs no labels. The result is a dictionary of
    ``image`` and ``random_rot90_orientation`` (0 to 3); transforms behind it see the image.

    Example:
        >>> sorted(RandomRot90()(np.zeros((4, 4, 3))))
        ['image', 'random_rot90_orientation']
    """

    def __call__(self, image: Any) -> dict[str, Any]:
        turns = random.randrange(4)
        rotated = np.ascontiguousarray(np.rot90(np.asarray(image), turns))
        is_pil = isinstance(image, Image.Image)
        return {
            "image": Image.fromarray(rotated) if is_pil else rotated,
            "random_rot90_orientation": turns,
        }
