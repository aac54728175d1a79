"""The step from images to tensors, and normalisation on tensors and arrays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lookalike.data.transforms.kernels import kernels_for

Layout = Literal["CHW", "HWC"]


class ToTensor:
    """Turn ``[H, W, 3]`` uint8 (array or PIL) into ``[3, H, W]`` float32 in 0 to 1.

    Args:
        data_format: ``HWC`` leaves the channel last.

    Example:
        >>> ToTensor()(np.full((2, 2, 3), 255, dtype=np.uint8)).max()
        tensor(1.)
    """

    makes_new = True

    def __init__(self, data_format: Layout = "CHW") -> None:
        self.data_format = data_format

    def __call__(self, image: Any) -> Tensor:
        array = np.array(image)
        kernels = kernels_for(array) if self.data_format == "CHW" else None
        if kernels is not None:
            planes = np.empty((3, *array.shape[:2]), dtype=np.float32)
            kernels.to_planes(array, _shares_of_white(), planes)
            return torch.from_numpy(planes)
        if array.ndim == 2:
            array = array[:, :, None]
        tensor = torch.from_numpy(array)
        if self.data_format == "CHW":
            tensor = tensor.permute(2, 0, 1).contiguous()
        return tensor.float().div(255.0) if array.dtype == np.uint8 else tensor.float()


@cache
def _shares_of_white() -> NDArray[np.float32]:
    """Return each of the 256 values over 255, for every channel ``[3, 256]``."""
    shares = torch.arange(256, dtype=torch.uint8).float().div(255.0)
    table: NDArray[np.float32] = shares.expand(3, 256).contiguous().numpy()
    return table


class Normalize:
    """Compute ``(x - mean) / std`` on a tensor, an array or a PIL image.

    Args:
        mean: Per channel, or one for all.
        std: Per channel, or one for all.
        data_format: Where the channel is: first (``CHW``) or last (``HWC``).
        to_rgb: Reverse an array's last axis first, which makes RGB of BGR where that is the
            channel; tensors stay.

    Example:
        >>> Normalize(0.5, 0.5)(torch.ones(3, 1, 1)).flatten().tolist()
        [1.0, 1.0, 1.0]
    """

    makes_new = True

    def __init__(
        self,
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
        data_format: Layout = "CHW",
        to_rgb: bool = False,
    ) -> None:
        shape = (-1, 1, 1) if data_format == "CHW" else (1, 1, -1)
        self.mean = np.asarray(mean, dtype=np.float32).reshape(shape)
        self.std = np.asarray(std, dtype=np.float32).reshape(shape)
        self.to_rgb = to_rgb

    def __call__(self, image: Any) -> Any:
        if isinstance(image, Tensor):
            centred = image - torch.from_numpy(self.mean)
            std = torch.from_numpy(self.std)
            return centred.div_(std) if centred.is_floating_point() else centred / std
        array = np.asarray(image, dtype=np.float32 if isinstance(image, Image.Image) else None)
        return ((array[..., ::-1] if self.to_rgb else array) - self.mean) / self.std
