"""Decoding as an explicit step of a chain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from PIL import Image

from lookalike.data.decode import Alpha, decode_image
from lookalike.data.transforms.image_kinds import width_height


class DecodeImage:
    """Decode the bytes of an image file; a chain without it decodes to RGB by itself.

    Args:
        to_np: Return an array; False returns a PIL image.
        to_rgb: RGB channel order; False gives BGR.
        channel_first: ``[3, H, W]`` instead of ``[H, W, 3]``.
        backend: Both values decode alike here; kept for the YAML of the reference.
        alpha: ``drop`` ignores transparency, ``white`` lays the picture over white.
        scale_to: ``[width, height]``: a JPEG may be shrunk by 2, 4 or 8 (or a step between) while
            it is decoded, as long as both sides stay as long as this. Faster for large photos, but
            the pixels differ from those of the whole image: train and evaluate alike.

    Example:
        >>> import io
        >>> Image.new("RGB", (40, 24)).save(file := io.BytesIO(), "JPEG")
        >>> DecodeImage(scale_to=[10, 6])(file.getvalue()).shape
        (6, 10, 3)
    """

    decodes = True

    def __init__(
        self,
        to_np: bool = True,
        to_rgb: bool = True,
        channel_first: bool = False,
        *,
        backend: Literal["cv2", "pil"] = "cv2",
        alpha: Alpha = "drop",
        scale_to: Sequence[int] | None = None,
    ) -> None:
        self.to_np, self.to_rgb, self.channel_first = to_np, to_rgb, channel_first
        self.backend, self.alpha = backend, alpha
        self.scale_to = None if scale_to is None else width_height(scale_to, "scale_to")

    def __call__(self, data: bytes) -> Any:
        pixels = decode_image(data, alpha=self.alpha, scale_to=self.scale_to)
        if not self.to_np:
            return Image.fromarray(pixels)
        if not self.to_rgb:
            pixels = pixels[:, :, ::-1]
        if self.channel_first:
            pixels = pixels.transpose(2, 0, 1)
        return np.ascontiguousarray(pixels)
