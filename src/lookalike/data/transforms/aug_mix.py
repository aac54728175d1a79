"""A random mixture of small distortions."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

_BILINEAR = Image.Resampling.BILINEAR
Distortion = Callable[[Image.Image, float], Image.Image]


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
        pixels: NDArray[np.uint8] = np.asarray(image)
        if pixels.dtype != np.uint8:
            raise ValueError("AugMix needs uint8 pixels; put it before the normalisation.")
        blend = random.betavariate(self.concentration, self.concentration)
        mixture = np.zeros(pixels.shape, dtype=np.float32)
        for weight in self._weights():
            mixture += np.float32(weight) * np.asarray(self._chain(Image.fromarray(pixels)))
        mixed = (1.0 - blend) * pixels + blend * mixture
        mixed = mixed.astype(np.uint8)
        return Image.fromarray(mixed) if isinstance(image, Image.Image) else mixed

    def _weights(self) -> list[float]:
        """Draw from a Dirichlet distribution."""
        draws = [random.gammavariate(self.concentration, 1.0) for _ in range(self.width)]
        total = sum(draws)
        return [draw / total for draw in draws] if total > 0.0 else [1.0 / self.width] * self.width

    def _chain(self, image: Image.Image) -> Image.Image:
        depth = self.depth if self.depth > 0 else random.randint(1, 3)
        for _ in range(depth):
            level = random.uniform(0.1, self.severity)
            image = random.choice(DISTORTIONS)(image, level)
        return image


def _either_sign(value: float) -> float:
    return -value if random.random() > 0.5 else value


def _autocontrast(image: Image.Image, level: float) -> Image.Image:
    return ImageOps.autocontrast(image)


def _equalize(image: Image.Image, level: float) -> Image.Image:
    return ImageOps.equalize(image)


def _posterize(image: Image.Image, level: float) -> Image.Image:
    return ImageOps.posterize(image, 4 - int(0.4 * level))


def _rotate(image: Image.Image, level: float) -> Image.Image:
    return image.rotate(_either_sign(int(3 * level)), resample=_BILINEAR)


def _solarize(image: Image.Image, level: float) -> Image.Image:
    return ImageOps.solarize(image, 256 - int(25.6 * level))


def _affine(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix, resample=_BILINEAR)


def _shear_x(image: Image.Image, level: float) -> Image.Image:
    return _affine(image, (1, _either_sign(0.03 * level), 0, 0, 1, 0))


def _shear_y(image: Image.Image, level: float) -> Image.Image:
    return _affine(image, (1, 0, 0, _either_sign(0.03 * level), 1, 0))


def _translate_x(image: Image.Image, level: float) -> Image.Image:
    return _affine(image, (1, 0, _either_sign(int(level * image.width / 30)), 0, 1, 0))


def _translate_y(image: Image.Image, level: float) -> Image.Image:
    return _affine(image, (1, 0, 0, 0, 1, _either_sign(int(level * image.width / 30))))


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
