"""Parts of an image hidden, so that the rest must do: Cutout, HideAndSeek, GridMask."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lookalike.data.transforms.image_kinds import channels_first, size_of


class Cutout:
    """Blank squares at random places; they may reach over the edge.

    Source: DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with
    Cutout", 2017. https://arxiv.org/abs/1708.04552

    Args:
        num_holes: Squares per image.
        length: Their edge in pixels.
        fill: Colour per channel, in the value space the image has at this place of the chain;
            ``none`` draws an 8-bit colour for each square.

    Example:
        >>> int((Cutout(length=2)(np.ones((9, 9, 3))) == 0).any(axis=2).sum()) in (1, 2, 4)
        True
    """

    def __init__(
        self,
        num_holes: int = 1,
        length: int = 112,
        fill: Sequence[float] | Literal["none"] = (0, 0, 0),
    ) -> None:
        if num_holes < 0 or length < 2:
            raise ValueError(f"length must be 2 or more, got {length}, and num_holes 0 or more.")
        self.num_holes, self.length, self.fill = num_holes, length, fill

    def __call__(self, image: Any) -> Any:
        width, height = size_of(image)
        half = self.length // 2
        for _ in range(self.num_holes):
            y, x = random.randrange(height), random.randrange(width)
            hidden = np.zeros((height, width), dtype=np.bool_)
            hidden[max(0, y - half) : y + half, max(0, x - half) : x + half] = True
            drawn = [random.randint(0, 255) for _ in range(3)] if self.fill == "none" else self.fill
            image = hide(image, hidden, drawn)
        return image


class HideAndSeek:
    """Blank half of the cells of a grid.

    Source: Singh and Lee, "Hide-and-Seek", ICCV 2017. https://arxiv.org/abs/1704.04232

    Args:
        grid_sizes: Edge of a cell in pixels, drawn for each image; 0 leaves the image as it is.
        probability: Share of cells that are blanked.
    """

    def __init__(
        self, grid_sizes: Sequence[int] = (0, 16, 32, 44, 56), probability: float = 0.5
    ) -> None:
        self.grid_sizes, self.probability = list(grid_sizes), probability

    def __call__(self, image: Any) -> Any:
        edge = random.choice(self.grid_sizes)
        if edge == 0:
            return image
        width, height = size_of(image)
        hidden = np.zeros((height, width), dtype=np.bool_)
        for left in range(0, width, edge):
            for top in range(0, height, edge):
                chance = random.random() <= self.probability
                hidden[top : top + edge, left : left + edge] = chance
        return hide(image, hidden)


class GridMask:
    """Blank the bars of a grid.

    The reference multiplies the probability by an epoch that nobody advances, so its GridMask does
    nothing; this one acts from the first epoch on.

    Source: Chen et al., "GridMask Data Augmentation", 2020. https://arxiv.org/abs/2001.04086

    Args:
        min_period: Smallest period of the grid in pixels.
        max_period: Periods are below this.
        rotate: The grid is turned by a whole number of degrees below this.
        ratio: Width of a bar over the period.
        mode: 0 hides the bars, 1 hides what lies between them.
        probability: Share of images that are changed.
    """

    def __init__(
        self,
        min_period: int = 96,
        max_period: int = 224,
        rotate: int = 1,
        ratio: float = 0.5,
        mode: Literal[0, 1] = 0,
        probability: float = 1.0,
    ) -> None:
        if not 1 <= min_period < max_period:
            raise ValueError(f"periods must rise from 1 on, got {min_period} to {max_period}.")
        if rotate < 1:
            raise ValueError(f"rotate must be 1 (no rotation) or more, got {rotate}.")
        self.min_period, self.max_period, self.rotate = min_period, max_period, rotate
        self.ratio, self.mode, self.probability = ratio, mode, probability

    def __call__(self, image: Any) -> Any:
        if random.random() > self.probability:
            return image
        width, height = size_of(image)
        # larger than the image, so that no empty corner turns in
        canvas_width, canvas_height = int(1.5 * width), int(1.5 * height)
        period = random.randrange(self.min_period, self.max_period)
        bar = int(period * self.ratio + 0.5)
        down, right = random.randrange(period), random.randrange(period)
        in_row = (np.arange(canvas_height) - down) % period < bar
        in_column = (np.arange(canvas_width) - right) % period < bar
        open_ = ~(in_row[:, None] | in_column[None, :])
        turned = Image.fromarray(open_.astype(np.uint8)).rotate(random.randrange(self.rotate))
        top, left = (canvas_height - height) // 2, (canvas_width - width) // 2
        hidden = np.asarray(turned)[top : top + height, left : left + width] == 0
        return hide(image, hidden if self.mode == 0 else ~hidden)


def hide(image: Any, hidden: NDArray[np.bool_], fill: Sequence[float] = (0, 0, 0)) -> Any:
    """Return a copy with the hidden pixels ``[H, W]`` in one colour, for any kind of image."""
    if isinstance(image, Tensor):
        colour = torch.tensor(list(fill), dtype=image.dtype).view(-1, 1, 1)
        return torch.where(torch.from_numpy(hidden), colour, image)
    pixels = np.array(image)
    colours = np.array(list(fill), dtype=pixels.dtype)
    if channels_first(pixels):
        pixels[:, hidden] = colours[:, None]
    else:
        pixels[hidden] = colours
    return Image.fromarray(pixels) if isinstance(image, Image.Image) else pixels
