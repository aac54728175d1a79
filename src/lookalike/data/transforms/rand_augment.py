"""A few distortions of one strength, with the tables of strengths that became known."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from PIL import Image

from lookalike.data.transforms import distortions as d
from lookalike.data.transforms.image_kinds import PIL_RULES, PILInterpolation, through_pil

Distortion = Callable[[Image.Image, float, d.Colour], Image.Image]
"""Of an image, a level from 0 to 1, and the colour of the parts that become empty."""

_EVEN: tuple[Distortion, ...] = (d.autocontrast, d.equalize, d.invert)
_QUALITIES: tuple[Distortion, ...] = tuple(
    partial(d.enhance, quality=quality) for quality in d.QUALITIES
)
_WEAKER: tuple[Distortion, ...] = (
    *(partial(d.shear, axis=axis, rule=PIL_RULES["bicubic"]) for axis in (0, 1)),
    *(partial(d.translate, axis=axis) for axis in (0, 1)),
    partial(d.rotate, both_sides=False),
    *_QUALITIES,
    partial(d.posterize, falls=False),
    partial(d.solarize, falls=False, brightest=256),
    *_EVEN,
)
_EFFICIENT_NET: tuple[Distortion, ...] = (
    *(partial(d.shear, axis=axis) for axis in (0, 1)),
    *(partial(d.translate, axis=axis, pixels=100) for axis in (0, 1)),
    d.rotate,
    *(partial(d.set_quality, quality=quality) for quality in d.QUALITIES),
    partial(d.posterize, falls=False),
    partial(d.solarize, falls=False, brightest=256),
    d.brighten_shadows,
    *_EVEN,
    partial(d.cut_out, most=40),
)
_PAIRS: tuple[Distortion, ...] = (
    *_WEAKER[:9],
    d.posterize,
    partial(d.solarize, brightest=256),
    *_EVEN,
    partial(d.cut_out, most=20, colour=0),
)


class _OneStrength:
    """So many distortions of a table, one after the other, all of the same strength."""

    def __init__(
        self,
        table: Sequence[Distortion],
        num_layers: int,
        magnitude: float,
        fill: Sequence[int],
    ) -> None:
        if not 0 <= magnitude <= 10:
            raise ValueError(f"magnitude must be in 0 to 10, got {magnitude}.")
        self.table, self.num_layers, self.level = table, num_layers, magnitude / 10
        self.fill = tuple(fill)

    def __call__(self, image: Any) -> Any:
        return through_pil(image, self._distort, type(self).__name__)

    def _distort(self, image: Image.Image) -> Image.Image:
        for _ in range(self.num_layers):
            image = random.choice(self.table)(image, self.level, self.fill)
        return image


class RandAugment(_OneStrength):
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
        super().__init__(_WEAKER, num_layers, magnitude, fill)


class EfficientNetRandAugment(_OneStrength):
    """Apply distortions drawn from the sixteen that EfficientNetV2 was trained with.

    Unlike :class:`RandAugment` it shifts by pixels instead of shares, sets colour, contrast,
    sharpness and brightness to ``0.1 + 1.8 * magnitude / 10``, brightens shadows and cuts squares
    out.

    Source: Tan and Le, "EfficientNetV2", ICML 2021, section 4. https://arxiv.org/abs/2104.00298

    Args:
        num_layers: Distortions per image.
        magnitude: Their strength, 0 to 10.
        fill: Colour of the parts that become empty.

    Example:
        >>> EfficientNetRandAugment()(Image.new("RGB", (9, 5))).size
        (9, 5)
    """

    def __init__(
        self,
        num_layers: int = 2,
        magnitude: float = 5,
        fill: Sequence[int] = (128, 128, 128),
    ) -> None:
        super().__init__(_EFFICIENT_NET, num_layers, magnitude, fill)


class MobileViTRandAugment(_OneStrength):
    """Apply distortions drawn from the fourteen that MobileViTv2 was trained with.

    Every one gets stronger with the magnitude.

    Source: Mehta and Rastegari, "Separable Self-attention for Mobile Vision Transformers", 2022,
    section 4. https://arxiv.org/abs/2206.02680

    Args:
        num_layers: Distortions per image.
        magnitude: Their strength, 0 to 10.
        fill: Colour of the parts that become empty.
        interpolation: Of what is sheared, shifted or rotated.

    Example:
        >>> MobileViTRandAugment()(Image.new("RGB", (9, 5))).size
        (9, 5)
    """

    def __init__(
        self,
        num_layers: int = 2,
        magnitude: float = 3,
        fill: Sequence[int] = (0, 0, 0),
        interpolation: PILInterpolation = "bicubic",
    ) -> None:
        rule = PIL_RULES[interpolation]
        table: tuple[Distortion, ...] = (
            *(partial(d.shear, axis=axis, rule=rule) for axis in (0, 1)),
            *(partial(d.translate, axis=axis, rule=rule) for axis in (0, 1)),
            partial(d.rotate, rule=rule),
            *_QUALITIES,
            d.posterize,
            d.solarize,
            *_EVEN,
        )
        super().__init__(table, num_layers, magnitude, fill)


class RandomPairAugment:
    """Apply up to two distortions of fifteen, each with chance one half and a strength of its own.

    Source: Ridnik et al., "ML-Decoder", 2021, appendix. https://arxiv.org/abs/2111.12933

    Example:
        >>> RandomPairAugment()(Image.new("RGB", (9, 5))).size
        (9, 5)
    """

    def __call__(self, image: Any) -> Any:
        return through_pil(image, self._distort, "RandomPairAugment")

    def _distort(self, image: Image.Image) -> Image.Image:
        for _ in range(2):
            distort, level = random.choice(_PAIRS), random.randint(1, 9) / 9
            if random.random() < 0.5:
                image = distort(image, level, (128, 128, 128))
        return image
