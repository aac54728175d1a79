"""Squash features between -1 and 1, for hashing."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Tanh(nn.Module):
    """Take the hyperbolic tangent of every feature.

    Shape:
        - features and output: ``[B, D]``.

    Example:
        >>> Tanh()(torch.zeros(1, 2))
        tensor([[0., 0.]])
    """

    def forward(self, features: Tensor) -> Tensor:
        return torch.tanh(features)
