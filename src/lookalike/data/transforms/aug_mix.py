"""A random mixture of small distortions."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lookalike.data.transforms import affine
from lookalike.data.transforms import value_tables as tables
from lookalike.data.transforms.kernels import kernels_for

Pixels = NDArray[np.uint8]
Distortion = Callable[[Pixels, float], Pixels]


class AugMix:
    """Blend the image with a weighted sum of distorted copies of itself.

    Each of ``width`` chains applies ``depth`` distortions drawn from autocontrast, equalize,
    posterize, rotate, solarize, shear and translate. Takes and returns uint8, so it belongs
    before the normalisation.

    Source: Hendrycks et al., "AugMix", ICLR 2020, algorithm 1. https://arxiv.org/abs/1912.02781

    Args:
        probability: Share of images that are changed.
        concentration: Of the Dirichlet and Beta distributions the weights are drawn from; small
            values make one chain dominate.
        width: Number of chains.
        depth: Distortions per chain; 0 or less draws 1 to 3.
        severity: Upper end of the strength, which is drawn from 0.1 on.
    """

    def __init__(
        self,
        probability: float = 0.5,
        concentration: float = 0.1,
        width: int = 3,
        depth: int = 1,
        severity: float = 1.0,
    ) -> None:
        self.probability, self.concentration = probability, concentration
        self.width, self.depth, self.severity = width, depth, severity

    def __call__(self, image: Any) -> Any:
        if random.random() > self.probability:
            return image
        pixels = np.array(image) if isinstance(image, Image.Image) else np.asarray(image)
        if pixels.dtype != np.uint8:
            raise ValueError("AugMix needs uint8 pixels; put it before the normalisation.")
        share = random.betavariate(self.concentration, self.concentration)
        weights = np.array(self._weights(), dtype=np.float32)
        mixed = blend(pixels, [self._chain(pixels) for _ in weights], weights, share)
        return Image.fromarray(mixed) if isinstance(image, Image.Image) else mixed

    def _weights(self) -> list[float]:
        """Draw from a Dirichlet distribution."""
        draws = [random.gammavariate(self.concentration, 1.0) for _ in range(self.width)]
        total = sum(draws)
        return [draw / total for draw in draws] if total > 0.0 else [1.0 / self.width] * self.width

    def _chain(self, pixels: Pixels) -> Pixels:
        depth = self.depth if self.depth > 0 else random.randint(1, 3)
        for _ in range(depth):
            level = random.uniform(0.1, self.severity)
            pixels = random.choice(DISTORTIONS)(pixels, level)
        return pixels


def blend(
    pixels: Pixels, images: Sequence[Pixels], weights: NDArray[np.float32], share: float
) -> Pixels:
    """Return ``(1 - share) * pixels + share * sum(weights * images)``, cut to whole numbers.

    Args:
        pixels: uint8, of any shape.
        images: As many of that shape as there are weights.
        weights: Of the images.
        share: Of the weighted sum.

    Raises:
        ValueError: If an image has another shape, or there is not one weight for each.

    Example:
        >>> black, white = np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)
        >>> blend(black, [black, white], np.float32([0.5, 0.5]), 0.5).tolist()
        [[[63, 63, 63]]]
    """
    shapes = {image.shape for image in images} - {pixels.shape}
    if shapes or np.shape(weights) != (len(images),):
        raise ValueError(
            f"a blend of {len(images)} images of shape {pixels.shape} cannot have "
            f"{np.size(weights)} weights and images of shapes {sorted(shapes)}."
        )
    kernels = kernels_for(pixels)
    if kernels is not None:
        blended, missing = np.empty_like(pixels), max(3 - len(images), 0)
        layers = [*map(np.ascontiguousarray, images), *[pixels] * missing]
        padded = np.zeros(len(layers), dtype=np.float32)
        padded[: len(images)] = weights
        earlier = np.empty((len(layers) - 3, *pixels.shape), dtype=np.uint8)
        for room, layer in zip(earlier, layers[:-3], strict=True):
            room[:] = layer
        kernels.blend(pixels, earlier, *layers[-3:], padded, share, blended)
        return blended
    mixture = np.zeros(pixels.shape, dtype=np.float32)
    for image, weight in zip(images, weights, strict=True):
        mixture += weight * image
    mixed: Pixels = ((1.0 - share) * pixels + share * mixture).astype(np.uint8)
    return mixed


def _either_sign(value: float) -> float:
    return -value if random.random() > 0.5 else value


def _autocontrast(pixels: Pixels, level: float) -> Pixels:
    return tables.look_up(pixels, tables.autocontrast(tables.count_values(pixels)))


def _equalize(pixels: Pixels, level: float) -> Pixels:
    return tables.look_up(pixels, tables.equalizing(tables.count_values(pixels)))


def _posterize(pixels: Pixels, level: float) -> Pixels:
    return tables.look_up(pixels, tables.posterizing(4 - int(0.4 * level)))


def _rotate(pixels: Pixels, level: float) -> Pixels:
    return affine.rotate(pixels, _either_sign(int(3 * level)))


def _solarize(pixels: Pixels, level: float) -> Pixels:
    return tables.look_up(pixels, tables.solarizing(256 - int(25.6 * level)))


def _shear_x(pixels: Pixels, level: float) -> Pixels:
    return affine.warp(pixels, (1, _either_sign(0.03 * level), 0, 0, 1, 0))


def _shear_y(pixels: Pixels, level: float) -> Pixels:
    return affine.warp(pixels, (1, 0, 0, _either_sign(0.03 * level), 1, 0))


def _translate_x(pixels: Pixels, level: float) -> Pixels:
    shift = _either_sign(int(level * pixels.shape[1] / 30))
    return affine.warp(pixels, (1, 0, shift, 0, 1, 0))


def _translate_y(pixels: Pixels, level: float) -> Pixels:
    shift = _either_sign(int(level * pixels.shape[1] / 30))
    return affine.warp(pixels, (1, 0, 0, 0, 1, shift))


DISTORTIONS: tuple[Distortion, ...] = (
    _autocontrast,
    _equalize,
    _posterize,
    _rotate,
    _solarize,
    _shear_x,
    _shear_y,
    _translate_x,
    _translate_y,
)
