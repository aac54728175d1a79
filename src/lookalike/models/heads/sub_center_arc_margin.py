"""ArcFace with several centres per class."""

from __future__ import annotations

import math

from torch import Tensor, nn

from lookalike.geometry import cosines
from lookalike.models.heads.target import (
    angular_margin,
    check_scale,
    class_weight,
    true_class,
    with_true_class,
)


class SubCenterArcMargin(nn.Module):
    """Cosine classifier with K centres per class; the nearest one counts.

    Mislabelled or unusual images gather at a centre of their own instead of pulling the main one.

    Source: Deng et al., "Sub-center ArcFace", ECCV 2020, eq. 3.

    Args:
        embedding_size: D, length of one embedding.
        num_classes: C, number of training identities.
        num_centers: K, centres of each class.
        margin: Additive angular margin in radians.
        scale: Multiplier of every cosine. No unit.

    Shape:
        - embeddings: ``[B, D]``, any norm; normalised here.
        - labels: ``[B]`` or ``[B, 1]`` int64, or None.
        - output: ``[B, C]`` float32. With labels in training: scaled logits with margin.
          Otherwise plain cosines in [-1, 1], **not** scaled.

    Example:
        >>> import torch
        >>> SubCenterArcMargin(8, 3)(torch.randn(4, 8), torch.tensor([0, 1, 2, 0])).shape
        torch.Size([4, 3])
    """

    def __init__(
        self,
        embedding_size: int,
        num_classes: int,
        num_centers: int = 3,
        margin: float = 0.5,
        scale: float = 64.0,
    ) -> None:
        super().__init__()
        check_scale(scale)
        if not 0.0 <= margin < math.pi or num_centers < 1:
            raise ValueError(
                f"margin must be in [0, pi) radians and num_centers positive, got {margin} and "
                f"{num_centers}."
            )
        self.in_features, self.num_classes, self.num_centers = (
            embedding_size,
            num_classes,
            num_centers,
        )
        self.margin, self.scale = margin, scale
        self.weight = class_weight(embedding_size, num_classes * num_centers)

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        all_cosines = cosines(embeddings, self.weight)
        cosine = all_cosines.view(-1, self.num_classes, self.num_centers).amax(2)
        if labels is None or not self.training:
            return cosine
        target = angular_margin(true_class(cosine, labels), self.margin)
        return self.scale * with_true_class(cosine, labels, target)
