"""Pixel values to the range a network was trained on, on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lookalike.data.transforms.kernels import kernels_for

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class NormalizeImage:
    """Compute ``(x * scale - mean) / std`` in float32.

    Of a uint8 image ``[H, W, 3]`` each of the 256 values is computed once; the result has that
    shape, but the channels lie one after the other in memory, as the network wants them.

    Args:
        scale: Factor on the raw value; 1/255 by default.
        mean: Per channel, after scaling.
        std: Per channel, after scaling.
        order: ``chw`` for images with the channel first; anything else means channel last.
        output_fp16: Return float16.
        channel_num: 3, or 4 to append a channel of zeros.

    Example:
        >>> NormalizeImage(mean=[0, 0, 0], std=[1, 1, 1], order="hwc")(np.full((1, 1, 3), 255))
        array([[[1., 1., 1.]]], dtype=float32)
    """

    makes_new = True

    def __init__(
        self,
        scale: float | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        order: str = "chw",
        *,
        output_fp16: bool = False,
        channel_num: int = 3,
    ) -> None:
        if channel_num not in (3, 4):
            raise ValueError(f"channel_num must be 3 or 4, got {channel_num}.")
        shape = (3, 1, 1) if order == "chw" else (1, 1, 3)
        self.channel_axis = 0 if order == "chw" else 2
        self.scale = np.float32(1.0 / 255.0 if scale is None else scale)
        self.mean = np.array(mean or IMAGENET_MEAN, dtype=np.float32).reshape(shape)
        self.std = np.array(std or IMAGENET_STD, dtype=np.float32).reshape(shape)
        self.output_fp16, self.channel_num = output_fp16, channel_num
        values = np.arange(256, dtype=np.float32)
        by_channel = self.mean.reshape(3, 1), self.std.reshape(3, 1)
        self.table = (values * self.scale - by_channel[0]) / by_channel[1]

    def __call__(self, image: Any) -> Any:
        image = np.asarray(image)
        kernels = kernels_for(image) if self.channel_axis == 2 else None
        if kernels is not None:
            planes = np.empty((3, *image.shape[:2]), dtype=np.float32)
            kernels.to_planes(image, self.table, planes)
            image = planes.transpose(1, 2, 0)
        else:
            image = (image.astype(np.float32) * self.scale - self.mean) / self.std
        if self.channel_num == 4:
            shape = list(image.shape)
            shape[self.channel_axis] = 1
            zeros = np.zeros(shape, dtype=np.float32)
            image = np.concatenate([image, zeros], axis=self.channel_axis)
        return image.astype(np.float16) if self.output_fp16 else image
