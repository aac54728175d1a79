"""An angular margin drawn anew for every image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lookalike.geometry import cosines
from lookalike.models.heads.target import (
    angular_margin,
    check_count,
    check_scale,
    true_class,
    with_true_class,
)


class ElasticMargin(nn.Module):
    """Cosine classifier whose angular margin is drawn from a normal distribution (ElasticFace).

    Source: Boutros et al., "ElasticFace", CVPR workshops 2022, eq. 5 and 7.
    https://arxiv.org/abs/2109.09416

    Args:
        embedding_size: D, length of one embedding.
        num_classes: C, number of training identities.
        margin: Mean of the margin, in radians.
        std: Its standard deviation, in radians.
        plus: Give the larger margins to the images with the smaller cosines.
        scale: Multiplier of every cosine. No unit.

    Shape:
        - embeddings: ``[B, D]``, any norm; normalised here.
        - labels: ``[B]`` or ``[B, 1]`` int64, or None.
        - output: ``[B, C]`` float32. With labels in training: scaled logits with margin.
          Otherwise plain cosines in [-1, 1], **not** scaled.

    Example:
        >>> ElasticMargin(8, 3)(torch.randn(4, 8), torch.tensor([0, 1, 2, 0])).shape
        torch.Size([4, 3])
    """

    def __init__(
        self,
        embedding_size: int,
        num_classes: int,
        margin: float = 0.5,
        std: float = 0.0125,
        *,
        plus: bool = False,
        scale: float = 64.0,
    ) -> None:
        super().__init__()
        check_scale(scale)
        self.in_features, self.num_classes = embedding_size, num_classes
        self.margin, self.std, self.plus, self.scale = margin, std, plus, scale
        self.weight = nn.Parameter(torch.empty(num_classes, embedding_size))
        nn.init.normal_(self.weight, std=0.01)

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        check_count(embeddings, labels)
        cosine = cosines(embeddings, self.weight)
        if labels is None or not self.training:
            return cosine
        own = true_class(cosine, labels)
        margin = torch.empty_like(own).normal_(self.margin, self.std).clamp(0.0, 3.0)
        if self.plus:
            falling = margin.sort(descending=True).values
            margin = torch.empty_like(margin).scatter(0, own.detach().argsort(), falling)
        target = angular_margin(own, margin)
        return self.scale * with_true_class(cosine, labels, target)
