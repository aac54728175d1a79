"""Other colours for the same picture."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lookalike.data.transforms.image_kinds import channels_first, through_pil

Strength = float | tuple[float, float]


class ColorJitter:
    """Change brightness, contrast, saturation and hue by random amounts, in random order.

    The changes are torchvision's on Pillow images; an array comes back as an array.

    Args:
        brightness: Factor drawn from 1 - b to 1 + b, or from ``[lowest, highest]``.
        contrast: Likewise.
        saturation: Likewise.
        hue: Shift drawn from -h to h, at most half of the circle, or from ``[lowest, highest]``.
        probability: Share of images that are changed; 1 and more mean all.
    """

    def __init__(
        self,
        brightness: Strength = 0.0,
        contrast: Strength = 0.0,
        saturation: Strength = 0.0,
        hue: Strength = 0.0,
        probability: float = 1.0,
    ) -> None:
        from torchvision.transforms import v2

        self.probability = probability
        self.jitter = v2.ColorJitter(brightness, contrast, saturation, hue)

    def __call__(self, image: Any) -> Any:
        if random.random() >= self.probability:
            return image
        return through_pil(image, self.jitter, "ColorJitter")


class RandomGrayscale:
    """Take the colour out of some of the images; there are still three channels.

    Args:
        probability: Share of images that are changed.
    """

    def __init__(self, probability: float = 0.1) -> None:
        self.probability = probability

    def __call__(self, image: Any) -> Any:
        if random.random() >= self.probability:
            return image
        return through_pil(image, lambda picture: picture.convert("L").convert("RGB"), "Grayscale")


class PCALighting:
    """Shift the colour along the principal axes of ImageNet's colours.

    The shift is of the order of 0.02 in units where white is 1. On uint8 pixels it is scaled and
    rounded; on others it is added in the value space the image has at this place of the chain.

    Source: Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks",
    2012, section 4.1.

    Args:
        deviation: Standard deviation of the factor along each axis.
    """

    VALUES = np.array([0.2175, 0.0188, 0.0045])
    AXES = np.array(
        [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
    )

    def __init__(self, deviation: float = 0.1) -> None:
        self.deviation = deviation

    def __call__(self, image: Any) -> Any:
        factors = np.array([random.gauss(0.0, self.deviation) for _ in range(3)])
        shift = (self.AXES @ (self.VALUES * factors)).astype(np.float32)
        if isinstance(image, Tensor):
            return image + torch.from_numpy(shift).to(image.dtype).view(3, 1, 1)
        pixels = np.asarray(image)
        if channels_first(pixels):
            shift = shift.reshape(3, 1, 1)
        if pixels.dtype != np.uint8:
            return pixels + shift.astype(pixels.dtype)
        shifted = np.clip(np.rint(pixels + 255 * shift), 0, 255).astype(np.uint8)
        return Image.fromarray(shifted) if isinstance(image, Image.Image) else shifted
