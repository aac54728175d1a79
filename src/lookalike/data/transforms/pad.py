"""Borders around an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lookalike.data.transforms.image_kinds import size_of, width_height


class Pad:
    """Add a border of one colour.

    Args:
        padding: Width of the border; or that of the left and right, top and bottom borders; or
            left, top, right and bottom.
        fill: Its colour, one number or one per channel.

    Example:
        >>> Pad(4)(Image.new("RGB", (9, 5))).size
        (17, 13)
    """

    def __init__(self, padding: int | Sequence[int], fill: int | Sequence[int] = 0) -> None:
        widths = [padding] if isinstance(padding, int) else list(padding)
        if len(widths) not in (1, 2, 4) or min(widths) < 0:
            raise ValueError(f"padding must be 1, 2 or 4 numbers from 0 on, got {padding}.")
        self.padding, self.fill = widths * (4 // len(widths)), fill

    def __call__(self, image: Any) -> Any:
        pixels: NDArray[Any] = np.asarray(image)
        width, height = size_of(pixels)
        left, top, right, bottom = self.padding
        shape = (top + height + bottom, left + width + right, *pixels.shape[2:])
        canvas = np.empty(shape, dtype=pixels.dtype)
        canvas[:] = self.fill
        canvas[top : top + height, left : left + width] = pixels
        return Image.fromarray(canvas) if isinstance(image, Image.Image) else canvas


class PadToSize:
    """Put the image on a canvas of fixed size, or of the next multiple; the result is float32.

    Args:
        size: Edge of a square canvas, or ``[width, height]``; None takes ``divisor``.
        divisor: Width and height of the canvas are the next multiples of this.
        pad_mode: Where the image lies: 0 top left, 1 in the middle, 2 bottom right, -1 at
            ``offsets``.
        offsets: ``[x, y]`` of the image's corner on the canvas, for ``pad_mode: -1``.
        fill: Colour of the canvas per channel.

    Raises:
        ValueError: When it meets an image that is larger than the canvas.

    Example:
        >>> PadToSize(divisor=8)(np.zeros((9, 5, 3), dtype=np.uint8)).shape
        (16, 8, 3)
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        divisor: int = 32,
        pad_mode: Literal[-1, 0, 1, 2] = 0,
        offsets: Sequence[int] | None = None,
        fill: Sequence[float] = (127.5, 127.5, 127.5),
    ) -> None:
        if (pad_mode == -1) != (offsets is not None):
            raise ValueError("offsets are needed for pad_mode: -1, and only there.")
        self.size = None if size is None else width_height(size)
        self.divisor, self.pad_mode = divisor, pad_mode
        self.offsets, self.fill = offsets, np.array(fill, dtype=np.float32)

    def __call__(self, image: Any) -> Any:
        pixels: NDArray[np.float32] = np.asarray(image, dtype=np.float32)
        width, height = size_of(pixels)
        canvas_width, canvas_height = self.size or (
            math.ceil(width / self.divisor) * self.divisor,
            math.ceil(height / self.divisor) * self.divisor,
        )
        left, top = self._corner(canvas_width - width, canvas_height - height)
        if left < 0 or top < 0 or left + width > canvas_width or top + height > canvas_height:
            raise ValueError(
                f"an image of {width} x {height} at ({left}, {top}) does not fit on a canvas of "
                f"{canvas_width} x {canvas_height} (width x height)."
            )
        canvas = np.empty((canvas_height, canvas_width, 3), dtype=np.float32)
        canvas[:] = self.fill
        canvas[top : top + height, left : left + width] = pixels
        return canvas

    def _corner(self, free_width: int, free_height: int) -> tuple[int, int]:
        if self.offsets is not None:
            return self.offsets[0], self.offsets[1]
        if self.pad_mode == 1:
            return free_width // 2, free_height // 2
        return (free_width, free_height) if self.pad_mode == 2 else (0, 0)
