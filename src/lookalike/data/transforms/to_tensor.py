"""The step from images to tensors, and normalisation on tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


class ToTensor:
    """Turn ``[H, W, 3]`` uint8 (array or PIL) into ``[3, H, W]`` float32 in 0 to 1.

    Example:
        >>> ToTensor()(np.full((2, 2, 3), 255, dtype=np.uint8)).max()
        tensor(1.)
    """

    def __call__(self, image: Any) -> Tensor:
        array = np.array(image)
        if array.ndim == 2:
            array = array[:, :, None]
        tensor = torch.from_numpy(array).permute(2, 0, 1).contiguous()
        return tensor.float().div(255.0) if array.dtype == np.uint8 else tensor.float()


class Normalize:
    """Compute ``(x - mean) / std`` on a ``[3, H, W]`` tensor.

    Args:
        mean: Per channel.
        std: Per channel.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean = torch.tensor(list(mean)).view(-1, 1, 1)
        self.std = torch.tensor(list(std)).view(-1, 1, 1)

    def __call__(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.std
