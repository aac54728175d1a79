"""A margin that grows with the embedding's norm."""

from __future__ import annotations

from torch import Tensor, nn

from lookalike.geometry import at_least_float32, cosines
from lookalike.models.heads.target import (
    angular_margin,
    check_count,
    check_scale,
    class_weight,
    true_class,
    with_true_class,
)


class MagMargin(nn.Module):
    """Cosine classifier whose angular margin grows linearly with the norm (MagFace).

    Pair it with the loss ``MagnitudeLoss``, which rewards large norms; together they make the
    norm a measure of the image's quality.

    Source: Meng et al., "MagFace", CVPR 2021, eq. 4 and 5. https://arxiv.org/abs/2103.06627

    Args:
        embedding_size: D, length of one embedding.
        num_classes: C, number of training identities.
        lower_norm: Norm that gets the smallest margin.
        upper_norm: Norm that gets the largest margin.
        lower_margin: Smallest margin, in radians.
        upper_margin: Largest margin, in radians.
        scale: Multiplier of every cosine. No unit.
        easy_margin: Apply the margin only where theta < pi / 2. The authors' published code does
            by default.

    Shape:
        - embeddings: ``[B, D]``; their norms matter.
        - labels: ``[B]`` or ``[B, 1]`` int64, or None.
        - output: ``[B, C]`` float32. With labels in training: scaled logits with margin.
          Otherwise plain cosines.

    Example:
        >>> import torch
        >>> MagMargin(8, 3)(torch.randn(4, 8), torch.tensor([0, 1, 2, 0])).shape
        torch.Size([4, 3])
    """

    def __init__(
        self,
        embedding_size: int,
        num_classes: int,
        *,
        lower_norm: float = 10.0,
        upper_norm: float = 110.0,
        lower_margin: float = 0.45,
        upper_margin: float = 0.8,
        scale: float = 64.0,
        easy_margin: bool = False,
    ) -> None:
        super().__init__()
        check_scale(scale)
        if not 0.0 < lower_norm < upper_norm:
            raise ValueError(f"norms must rise from above 0, got {lower_norm} to {upper_norm}.")
        self.in_features, self.num_classes, self.scale = embedding_size, num_classes, scale
        self.easy_margin = easy_margin
        self.norms, self.margins = (lower_norm, upper_norm), (lower_margin, upper_margin)
        self.weight = class_weight(embedding_size, num_classes)

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        check_count(embeddings, labels)
        cosine = cosines(embeddings, self.weight)
        if labels is None or not self.training:
            return cosine
        lower, upper = self.norms
        norms = at_least_float32(embeddings).norm(dim=1).clamp(lower, upper)
        slope = (self.margins[1] - self.margins[0]) / (upper - lower)
        margin = self.margins[0] + slope * (norms - lower)
        own = true_class(cosine, labels)
        target = angular_margin(own, margin, easy=self.easy_margin)
        return self.scale * with_true_class(cosine, labels, target)
