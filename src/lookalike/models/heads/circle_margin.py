"""Circle loss as a classifier."""

from __future__ import annotations

from torch import Tensor, nn

from lookalike.geometry import cosines
from lookalike.models.heads.target import check_scale, class_weight, true_class, with_true_class


class CircleMargin(nn.Module):
    """Cosine classifier whose logits are weighted by how far each is from its optimum.

    The true class gets ``a (cos - 1 + m)`` with ``a = relu(1 + m - cos)``, every other class
    ``a (cos - m)`` with ``a = relu(cos + m)``; the weights a carry no gradient.

    Source: Sun et al., "Circle Loss", CVPR 2020, eq. 6 with class-level labels.
    https://arxiv.org/abs/2002.10857

    Args:
        embedding_size: D, length of one embedding.
        num_classes: C, number of training identities.
        margin: m, relaxation of the optima. No unit.
        scale: Multiplier of every logit. No unit.

    Shape:
        - embeddings: ``[B, D]``, any norm; normalised here.
        - labels: ``[B]`` or ``[B, 1]`` int64, or None.
        - output: ``[B, C]`` float32. With labels in training: scaled logits with margin.
          Otherwise plain cosines in [-1, 1], **not** scaled.

    Example:
        >>> import torch
        >>> CircleMargin(8, 3, 0.35, 64)(torch.randn(4, 8), torch.tensor([0, 1, 2, 0])).shape
        torch.Size([4, 3])
    """

    def __init__(self, embedding_size: int, num_classes: int, margin: float, scale: float) -> None:
        super().__init__()
        check_scale(scale)
        self.in_features, self.num_classes = embedding_size, num_classes
        self.margin, self.scale = margin, scale
        self.weight = class_weight(embedding_size, num_classes)

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        cosine = cosines(embeddings, self.weight)
        if labels is None or not self.training:
            return cosine
        others = (cosine.detach() + self.margin).relu() * (cosine - self.margin)
        own = true_class(cosine, labels)
        own = (1.0 + self.margin - own.detach()).relu() * (own - 1.0 + self.margin)
        return self.scale * with_true_class(others, labels, own)
