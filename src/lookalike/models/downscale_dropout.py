"""Dropout that scales in evaluation instead of training."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DownscaleDropout(nn.Module):
    """Drop elements in training without enlarging the others; shrink all of them in evaluation.

    The reference's ``downscale_in_infer``: ``x * mask`` in training, ``x * (1 - p)`` in
    evaluation. Training and evaluation agree in expectation, as with PyTorch's dropout, but the
    features have another length, which matters to weights trained behind it.

    Args:
        probability: Share of elements dropped, in [0, 1).

    Example:
        >>> DownscaleDropout(0.2).eval()(torch.ones(2))
        tensor([0.8000, 0.8000])
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        if not 0.0 <= probability < 1.0:
            raise ValueError(f"dropout: a share in [0, 1) expected, got {probability}")
        self.probability = probability

    def forward(self, features: Tensor) -> Tensor:
        if self.probability == 0.0:
            return features
        if not self.training:
            return features * (1.0 - self.probability)
        return features * torch.empty_like(features).bernoulli_(1.0 - self.probability)

    def extra_repr(self) -> str:
        return f"probability={self.probability}"
