"""A margin that turns to hard negatives as training goes on."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lookalike.geometry import cosines
from lookalike.models.heads.target import (
    add_angle,
    angular_margin,
    check_count,
    check_scale,
    true_class,
    with_true_class,
)


class CurricularMargin(nn.Module):
    """Cosine classifier with an angular margin and growing weight on hard negatives.

    A class whose cosine exceeds the true class's with margin is hard; its cosine is multiplied by
    ``t + cos``, where t follows the mean cosine of the true classes.

    Source: Huang et al., "CurricularFace", CVPR 2020, eq. 4 to 9. https://arxiv.org/abs/2004.00288

    Args:
        embedding_size: D, length of one embedding.
        num_classes: C, number of training identities.
        margin: Additive angular margin in radians.
        scale: Multiplier of every cosine. No unit.
        momentum: Share of a batch in the running mean t.

    Shape:
        - embeddings: ``[B, D]``, any norm; normalised here.
        - labels: ``[B]`` or ``[B, 1]`` int64, or None.
        - output: ``[B, C]`` float32. With labels in training: scaled logits with margin.
          Otherwise plain cosines in [-1, 1], **not** scaled.

    Example:
        >>> CurricularMargin(8, 3)(torch.randn(4, 8), torch.tensor([0, 1, 2, 0])).shape
        torch.Size([4, 3])
    """

    t: Tensor

    def __init__(
        self,
        embedding_size: int,
        num_classes: int,
        margin: float = 0.5,
        scale: float = 64.0,
        momentum: float = 0.01,
    ) -> None:
        super().__init__()
        check_scale(scale)
        self.in_features, self.num_classes = embedding_size, num_classes
        self.margin, self.scale, self.momentum = margin, scale, momentum
        self.weight = nn.Parameter(torch.empty(num_classes, embedding_size))
        nn.init.normal_(self.weight, std=0.01)
        self.register_buffer("t", torch.zeros(1))

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        check_count(embeddings, labels)
        cosine = cosines(embeddings, self.weight)
        if labels is None or not self.training:
            return cosine
        own = true_class(cosine, labels)
        with_margin = add_angle(own, math.cos(self.margin), math.sin(self.margin))
        target = angular_margin(own, self.margin)
        if len(own) > 0:
            with torch.no_grad():
                self.t.lerp_(own.mean().to(self.t), self.momentum)
        hard = cosine > with_margin[:, None]
        # a copy: the buffer moves before the gradient is taken
        others = torch.where(hard, cosine * (self.t.clone() + cosine), cosine)
        return self.scale * with_true_class(others, labels, target)
