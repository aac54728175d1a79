"""Pooling between the mean and the maximum."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GeMPooling(nn.Module):
    """Pool a feature map by its generalised mean, optionally projecting it to an embedding.

    ``(mean x^p)^(1/p)``: p = 1 is the average, p towards infinity the maximum.

    Source: Radenovic et al., "Fine-tuning CNN Image Retrieval with No Human Annotation",
    TPAMI 2019, eq. 2. https://arxiv.org/abs/1711.02512

    Args:
        in_channels: C, channels of the map.
        out_features: D, length of the embedding; None returns the pooled channels.
        p: The exponent it starts from.
        learn_p: Train the exponent.
        eps: Smallest value that is raised to it.

    Shape:
        - features: ``[B, C, H, W]``; cut the backbone before its own pooling.
        - output: ``[B, D]``, or ``[B, C]``.

    Raises:
        ValueError: If p is not positive.

    Example:
        >>> GeMPooling(2, p=1.0)(torch.ones(1, 2, 3, 3)).tolist()
        [[1.0, 1.0]]
    """

    def __init__(
        self,
        in_channels: int,
        out_features: int | None = None,
        *,
        p: float = 3.0,
        learn_p: bool = True,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        if p <= 0.0:
            raise ValueError(f"p must be positive, got {p}.")
        self.in_features, self.out_features = in_channels, out_features or in_channels
        self.p = nn.Parameter(torch.tensor(float(p)), requires_grad=learn_p)
        self.eps = eps
        self.fc = nn.Linear(in_channels, out_features) if out_features else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        powered = features.clamp_min(self.eps).pow(self.p)
        return self.fc(powered.flatten(2).mean(2).pow(1.0 / self.p))  # type: ignore[no-any-return]
