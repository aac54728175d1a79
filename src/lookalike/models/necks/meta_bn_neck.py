"""A batch-norm neck that can be held still during a simulated domain shift."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lookalike.models.necks.bn_neck import feature_norm

Mode = Literal["general", "hold", "eval"]


class MetaBNNeck(nn.Module):
    """BNNeck with a switch for meta-learning.

    In training ``mode`` decides: ``general`` normalises with the batch and updates the running
    statistics; ``hold`` normalises with the batch and leaves them; ``eval`` normalises with them.
    Outside training it is always ``eval``.

    Source: Choi et al., "Meta Batch-Instance Normalization for Generalizable Person
    Re-Identification", CVPR 2021, section 3. https://arxiv.org/abs/2011.14670

    Args:
        num_features: D, width of the features.
        use_global_stats: Ignored by the reference as well: ``mode`` decides.
        weight: Multiply each feature by a learned scale.
        bias: Add a learned offset.

    Shape:
        - features: ``[B, D]`` or ``[B, D, 1, 1]``.
        - output: ``[B, D]``.
    """

    def __init__(
        self,
        num_features: int,
        *,
        use_global_stats: bool | None = None,
        weight: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.in_features = self.out_features = num_features
        self.feat_bn = feature_norm(num_features, weight=weight, bias=bias)
        self.mode: Mode = "general"

    def forward(self, features: Tensor) -> Tensor:
        features = features.flatten(1)
        norm = self.feat_bn
        if not self.training or self.mode == "eval":
            return F.batch_norm(
                features, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
            )
        if self.mode == "hold":
            return F.batch_norm(
                features, None, None, norm.weight, norm.bias, training=True, eps=norm.eps
            )
        return norm(features)  # type: ignore[no-any-return]
