"""The additive cosine margin of CosFace."""

from __future__ import annotations

from torch import Tensor, nn

from lookalike.geometry import cosines
from lookalike.models.heads.target import check_scale, class_weight, true_class, with_true_class


class CosMargin(nn.Module):
    """Cosine classifier that subtracts a margin from the true class's cosine (CosFace).

    Source: Wang et al., "CosFace", CVPR 2018, eq. 4. https://arxiv.org/abs/1801.09414

    Args:
        embedding_size: D, length of one embedding.
        num_classes: C, number of training identities.
        margin: Subtracted from the cosine. No unit.
        scale: Multiplier of every cosine. No unit.

    Shape:
        - embeddings: ``[B, D]``, any norm; normalised here.
        - labels: ``[B]`` or ``[B, 1]`` int64, or None.
        - output: ``[B, C]`` float32. With labels in training: scaled logits with margin.
          Otherwise plain cosines in [-1, 1], **not** scaled.

    Example:
        >>> import torch
        >>> CosMargin(8, 3)(torch.randn(4, 8), torch.tensor([0, 1, 2, 0])).shape
        torch.Size([4, 3])
    """

    def __init__(
        self, embedding_size: int, num_classes: int, margin: float = 0.35, scale: float = 64.0
    ) -> None:
        super().__init__()
        check_scale(scale)
        self.in_features, self.num_classes = embedding_size, num_classes
        self.margin, self.scale = margin, scale
        self.weight = class_weight(embedding_size, num_classes)

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        cosine = cosines(embeddings, self.weight)
        if labels is None or not self.training:
            return cosine
        target = true_class(cosine, labels) - self.margin
        return self.scale * with_true_class(cosine, labels, target)
