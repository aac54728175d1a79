"""Single distortions of a PIL image; those with a level do nothing at 0 and most at 1."""

from __future__ import annotations

import random
from typing import Any

from PIL import Image, ImageEnhance, ImageOps

Colour = tuple[int, ...]

QUALITIES = (
    ImageEnhance.Color,
    ImageEnhance.Contrast,
    ImageEnhance.Sharpness,
    ImageEnhance.Brightness,
)
_NEAREST = Image.Resampling.NEAREST


def _sign() -> int:
    return random.choice((-1, 1))


def _affine(
    image: Image.Image, matrix: tuple[float, ...], fill: Colour, rule: Image.Resampling
) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix, rule, fillcolor=fill)


def shear(
    image: Image.Image,
    level: float,
    fill: Colour,
    *,
    axis: int,
    rule: Image.Resampling = _NEAREST,
) -> Image.Image:
    """Shear along x (axis 0) or y, by up to 0.3 to either side."""
    slope = 0.3 * level * _sign()
    matrix = (1, slope, 0, 0, 1, 0) if axis == 0 else (1, 0, 0, slope, 1, 0)
    return _affine(image, matrix, fill, rule)


def translate(
    image: Image.Image,
    level: float,
    fill: Colour,
    *,
    axis: int,
    pixels: float | None = None,
    rule: Image.Resampling = _NEAREST,
) -> Image.Image:
    """Shift along x (axis 0) or y, by up to 150/331 of the image, or so many pixels."""
    most = 150 / 331 * image.size[axis] if pixels is None else pixels
    shift = most * level * _sign()
    matrix = (1, 0, shift, 0, 1, 0) if axis == 0 else (1, 0, 0, 0, 1, shift)
    return _affine(image, matrix, fill, rule)


def rotate(
    image: Image.Image,
    level: float,
    fill: Colour,
    *,
    both_sides: bool = True,
    rule: Image.Resampling = _NEAREST,
) -> Image.Image:
    """Rotate by up to 30 degrees, counter-clockwise or to either side."""
    angle = 30 * level * (_sign() if both_sides else 1)
    return image.rotate(angle, rule, fillcolor=fill)


def enhance(image: Image.Image, level: float, fill: Colour, *, quality: Any) -> Image.Image:
    """Strengthen or weaken one of ``QUALITIES`` by up to nine tenths."""
    changed: Image.Image = quality(image).enhance(1 + 0.9 * level * _sign())
    return changed


def set_quality(image: Image.Image, level: float, fill: Colour, *, quality: Any) -> Image.Image:
    """Set one of ``QUALITIES`` to 0.1 (level 0) to 1.9 (level 1) of what it is."""
    changed: Image.Image = quality(image).enhance(0.1 + 1.8 * level)
    return changed


def posterize(image: Image.Image, level: float, fill: Colour, *, falls: bool = True) -> Image.Image:
    """Keep 8 bits of each colour at level 0 and 4 at level 1; or, rising, 1 to 4 bits."""
    bits = 8 - int(4 * level) if falls else max(1, int(4 * level))
    return ImageOps.posterize(image, bits)


def solarize(
    image: Image.Image, level: float, fill: Colour, *, falls: bool = True, brightest: int = 255
) -> Image.Image:
    """Invert what is at least as bright as a threshold that falls with the level, or rises."""
    threshold = brightest * (1 - level) if falls else int(brightest * level)
    return ImageOps.solarize(image, threshold)  # type: ignore[arg-type]


def brighten_shadows(image: Image.Image, level: float, fill: Colour) -> Image.Image:
    """Add up to 110 to every value below 128."""
    amount = int(110 * level)
    return image.point([min(255, v + amount) if v < 128 else v for v in range(256)] * 3)


def autocontrast(image: Image.Image, level: float, fill: Colour) -> Image.Image:
    """Spread each channel to 0 to 255."""
    return ImageOps.autocontrast(image)


def equalize(image: Image.Image, level: float, fill: Colour) -> Image.Image:
    """Make all values equally frequent."""
    return ImageOps.equalize(image)


def invert(image: Image.Image, level: float, fill: Colour) -> Image.Image:
    """Turn the colours around."""
    return ImageOps.invert(image)


def cut_out(
    image: Image.Image, level: float, fill: Colour, *, most: int, colour: int | None = None
) -> Image.Image:
    """Cover a square of up to twice ``most`` pixels around a random pixel.

    Its colour is the first number of ``fill`` unless ``colour`` is given.
    """
    half = round(most * level)
    x, y = random.randint(0, image.width), random.randint(0, image.height)
    left, top = max(0, x - half), max(0, y - half)
    right, bottom = min(image.width, x + half), min(image.height, y + half)
    covered = image.copy()
    if left < right and top < bottom:
        shade = fill[0] if colour is None else colour
        covered.paste((shade, shade, shade), (left, top, right, bottom))
    return covered
