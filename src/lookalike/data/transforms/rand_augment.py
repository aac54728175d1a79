"""A few distortions of one strength."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from PIL import Image, ImageEnhance, ImageOps

from lookalike.data.transforms.image_kinds import through_pil

Colour = tuple[int, ...]


class RandAugment:
    """Apply distortions drawn from fourteen, all of the same strength.

    The strengths are the reference's. Posterize and solarize get weaker with the magnitude there;
    ``TimmAutoAugment`` has the variant where all get stronger (``inc1``).

    Source: Cubuk et al., "RandAugment", 2020. https://arxiv.org/abs/1909.13719

    Args:
        num_layers: Distortions per image.
        magnitude: Their strength, 0 to 10.
        fill: Colour of the parts that become empty.

    Example:
        >>> RandAugment()(Image.new("RGB", (9, 5))).size
        (9, 5)
    """

    def __init__(
        self,
        num_layers: int = 2,
        magnitude: float = 5,
        fill: Sequence[int] = (128, 128, 128),
    ) -> None:
        if not 0 <= magnitude <= 10:
            raise ValueError(f"magnitude must be in 0 to 10, got {magnitude}.")
        self.num_layers, self.level = num_layers, magnitude / 10
        self.fill = tuple(fill)

    def __call__(self, image: Any) -> Any:
        return through_pil(image, self._distort, "RandAugment")

    def _distort(self, image: Image.Image) -> Image.Image:
        for _ in range(self.num_layers):
            image = random.choice(DISTORTIONS)(image, self.level, self.fill)
        return image


def _sign() -> int:
    return random.choice((-1, 1))


def _affine(
    image: Image.Image, matrix: tuple[float, ...], fill: Colour, rule: Image.Resampling
) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix, rule, fillcolor=fill)


def _shear(image: Image.Image, level: float, fill: Colour, *, axis: int) -> Image.Image:
    slope = 0.3 * level * _sign()
    matrix = (1, slope, 0, 0, 1, 0) if axis == 0 else (1, 0, 0, slope, 1, 0)
    return _affine(image, matrix, fill, Image.Resampling.BICUBIC)


def _translate(image: Image.Image, level: float, fill: Colour, *, axis: int) -> Image.Image:
    shift = 150 / 331 * level * image.size[axis] * _sign()
    matrix = (1, 0, shift, 0, 1, 0) if axis == 0 else (1, 0, 0, 0, 1, shift)
    return _affine(image, matrix, fill, Image.Resampling.NEAREST)


def _rotate(image: Image.Image, level: float, fill: Colour) -> Image.Image:
    return image.rotate(30 * level, fillcolor=fill)


def _enhance(image: Image.Image, level: float, fill: Colour, *, quality: Any) -> Image.Image:
    enhanced: Image.Image = quality(image).enhance(1 + 0.9 * level * _sign())
    return enhanced


def _posterize(image: Image.Image, level: float, fill: Colour) -> Image.Image:
    return ImageOps.posterize(image, max(1, int(4 * level)))


def _solarize(image: Image.Image, level: float, fill: Colour) -> Image.Image:
    return ImageOps.solarize(image, int(256 * level))


def _autocontrast(image: Image.Image, level: float, fill: Colour) -> Image.Image:
    return ImageOps.autocontrast(image)


def _equalize(image: Image.Image, level: float, fill: Colour) -> Image.Image:
    return ImageOps.equalize(image)


def _invert(image: Image.Image, level: float, fill: Colour) -> Image.Image:
    return ImageOps.invert(image)


DISTORTIONS: tuple[Callable[[Image.Image, float, Colour], Image.Image], ...] = (
    partial(_shear, axis=0),
    partial(_shear, axis=1),
    partial(_translate, axis=0),
    partial(_translate, axis=1),
    _rotate,
    partial(_enhance, quality=ImageEnhance.Color),
    partial(_enhance, quality=ImageEnhance.Contrast),
    partial(_enhance, quality=ImageEnhance.Sharpness),
    partial(_enhance, quality=ImageEnhance.Brightness),
    _posterize,
    _solarize,
    _autocontrast,
    _equalize,
    _invert,
)
