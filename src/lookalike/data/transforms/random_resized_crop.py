"""A window of random size, aspect and place."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from lookalike.data.transforms.image_kinds import (
    PIL_RULES,
    PILInterpolation,
    as_pil,
    crop,
    size_of,
    through_pil,
    width_height,
)
from lookalike.data.transforms.resize import Backend, Interpolation, known_rule, resize

Window = tuple[int, int, int, int]
"""left, top, width, height"""


class RandCropImage:
    """Cut out a random window and resize it; the area is bounded so that the window always fits.

    The aspect is drawn first, then an area between the bounds that this aspect allows. So a wide
    window of a tall image is small, where RandomResizedCrop would draw again.

    Args:
        size: Edge of a square, or ``[width, height]``.
        scale: Smallest and largest area, as fractions of the image.
        ratio: Smallest and largest width over height.
        interpolation: As in ResizeImage.
        log_aspect: Draw the aspect uniformly in its logarithm.
        backend: Whose resampling rule.

    Example:
        >>> RandCropImage(8)(np.zeros((20, 10, 3), dtype=np.uint8)).shape
        (8, 8, 3)
    """

    def __init__(
        self,
        size: int | Sequence[int],
        scale: tuple[float, float] | None = None,
        ratio: tuple[float, float] | None = None,
        interpolation: Interpolation | None = None,
        log_aspect: bool = False,
        backend: Backend = "cv2",
    ) -> None:
        self.size = width_height(size)
        self.scale = _bounds("scale", (0.08, 1.0) if scale is None else scale)
        self.ratio = _bounds("ratio", (3 / 4, 4 / 3) if ratio is None else ratio)
        self.log_aspect, self.backend = log_aspect, backend
        self.interpolation = known_rule(interpolation, backend)

    def __call__(self, image: Any) -> Any:
        window = crop(image, *self.window(*size_of(image)))
        return resize(window, self.size, self.interpolation, self.backend)

    def window(self, width: int, height: int) -> Window:
        """Draw left, top, width and height of a window."""
        # rounded in the reference's order: at the bound a pixel depends on it
        wide = math.sqrt(self._aspect())
        tall = 1.0 / wide
        bound = min((width / height) / wide**2, (height / width) / tall**2)
        share = random.uniform(min(self.scale[0], bound), min(self.scale[1], bound))
        edge = math.sqrt(width * height * share)
        w = min(width, max(1, int(edge * wide)))
        h = min(height, max(1, int(edge * tall)))
        return random.randint(0, width - w), random.randint(0, height - h), w, h

    def _aspect(self) -> float:
        if self.log_aspect:
            return math.exp(random.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
        return random.uniform(*self.ratio)


class RandomResizedCrop:
    """Cut out a random window and resize it with Pillow's filters; torchvision's distribution.

    Args:
        size: Edge of a square, or ``[height, width]``.
        scale: Smallest and largest area, as fractions of the image.
        ratio: Smallest and largest width over height, drawn uniformly in the logarithm.
        interpolation: Pillow's filter.

    Example:
        >>> RandomResizedCrop(8)(Image.new("RGB", (20, 10))).size
        (8, 8)
    """

    def __init__(
        self,
        size: int | Sequence[int],
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        interpolation: PILInterpolation = "bilinear",
    ) -> None:
        height, width = width_height(size)
        self.size, self.rule = (width, height), PIL_RULES[interpolation]
        self.scale, self.ratio = _bounds("scale", scale), _bounds("ratio", ratio)

    def __call__(self, image: Any) -> Any:
        left, top, width, height = self.window(*size_of(image))
        box = (left, top, left + width, top + height)

        def cut(picture: Image.Image) -> Image.Image:
            # cropped first, so that the filter does not look over the window's edge
            return picture.crop(box).resize(self.size, self.rule)

        return through_pil(image, cut, "RandomResizedCrop")

    def window(self, width: int, height: int) -> Window:
        """Draw left, top, width and height of a window."""
        return draw_window(width, height, self.scale, self.ratio)


class CropWithPadding:
    """Blank everything but a random window; size and place are kept.

    Used for faces, where the window's place must not move.

    Args:
        probability: Share of images that are changed.
        fill: Value around the window, 0 to 255.
        scale: Smallest and largest area of the window, as fractions of the image.
        ratio: Smallest and largest width over height, drawn uniformly in the logarithm.

    Example:
        >>> CropWithPadding()(Image.new("RGB", (20, 10), "white")).size
        (20, 10)
    """

    def __init__(
        self,
        probability: float = 1.0,
        fill: int = 0,
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
    ) -> None:
        self.probability, self.fill = probability, fill
        self.scale, self.ratio = _bounds("scale", scale), _bounds("ratio", ratio)

    def __call__(self, image: Any) -> Any:
        if random.random() >= self.probability:
            return image
        pixels = np.asarray(as_pil(image, "CropWithPadding"))
        left, top, w, h = draw_window(*size_of(image), self.scale, self.ratio)
        canvas = np.full_like(pixels, self.fill)
        canvas[top : top + h, left : left + w] = pixels[top : top + h, left : left + w]
        return Image.fromarray(canvas) if isinstance(image, Image.Image) else canvas


def draw_window(
    width: int, height: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> Window:
    """Draw a window as torchvision does: ten tries, then the largest central one."""
    from torchvision.transforms import RandomResizedCrop as Torchvision

    outline = torch.empty(0, height, width)
    top, left, h, w = Torchvision.get_params(outline, list(scale), list(ratio))
    return left, top, w, h


def _bounds(name: str, pair: tuple[float, float]) -> tuple[float, float]:
    if not 0.0 < pair[0] <= pair[1]:
        raise ValueError(f"{name} must be two rising positive numbers, got {list(pair)}.")
    return pair
