"""Two linear layers to a unit embedding."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lookalike.geometry import unit
from lookalike.models.initialise import xavier_uniform


class FRFNNeck(nn.Module):
    """Project features through a hidden layer onto the unit sphere.

    Source: Yang et al., "Class-Aware Contrastive Semi-Supervised Learning", CVPR 2022, section
    3.2 (projection head). https://arxiv.org/abs/2203.02261

    Args:
        num_features: F, width of the features and of the hidden layer.
        low_dim: D, length of the embedding.

    Shape:
        - features: ``[B, F]`` or ``[B, F, 1, 1]``.
        - output: ``[B, D]``, each row of length one.

    Example:
        >>> import torch
        >>> FRFNNeck(8, 4)(torch.randn(2, 8)).square().sum(dim=1).allclose(torch.ones(2))
        True
    """

    def __init__(self, num_features: int, low_dim: int) -> None:
        super().__init__()
        self.in_features, self.out_features = num_features, low_dim
        self.fc1 = nn.Linear(num_features, num_features)
        self.fc2 = nn.Linear(num_features, low_dim)
        for layer in (self.fc1, self.fc2):
            xavier_uniform(layer)

    def forward(self, features: Tensor) -> Tensor:
        hidden = F.leaky_relu(self.fc1(features.flatten(1)), 0.1)
        return unit(self.fc2(hidden))
