"""The additive angular margin of ArcFace."""

# Shape letters: B = batch, D = embedding dimension, C = classes

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lookalike.geometry import cosines


class ArcMargin(nn.Module):
    """Cosine classifier that adds an angular margin to the true class (ArcFace).

    The logit of class c is ``scale * cos(theta_c)``, theta_c being the angle between embedding
    and class weight; the true class uses ``cos(theta + margin)``. Past ``theta > pi - margin``
    that would rise again, so ``cos(theta) - margin * sin(margin)`` takes over and keeps the loss
    monotone.

    Source: Deng et al., "ArcFace", CVPR 2019, eq. 3 (https://arxiv.org/abs/1801.07698); the
    linear form follows the authors' published code.

    Args:
        embedding_size: D, length of one embedding.
        num_classes: C, number of training identities; labels run from 0 to C - 1.
        margin: Additive angular margin in **radians** (0.5 rad is 28.6 degrees).
        scale: Multiplier of every cosine, the radius of the hypersphere. No unit.
        easy_margin: Apply the margin only where theta < pi / 2.

    Shape:
        - embeddings: ``[B, D]``, any norm; normalised here.
        - labels: ``[B]`` or ``[B, 1]`` int64, or None.
        - output: ``[B, C]`` float32. With labels in training mode: scaled logits with margin,
          ready for cross-entropy. Otherwise plain cosines in [-1, 1], **not** scaled.

    Raises:
        ValueError: If margin is outside [0, pi) or scale is not positive.

    Example:
        >>> head = ArcMargin(embedding_size=8, num_classes=3)
        >>> head(torch.randn(4, 8), labels=torch.tensor([0, 1, 2, 0])).shape
        torch.Size([4, 3])
    """

    def __init__(
        self,
        embedding_size: int,
        num_classes: int,
        margin: float = 0.5,
        scale: float = 80.0,
        easy_margin: bool = False,
    ) -> None:
        super().__init__()
        if not 0.0 <= margin < math.pi:
            degrees = f" {margin} degrees is {math.radians(margin):.3f}." if margin > 3 else ""
            raise ValueError(
                f"margin is an angle in radians and must be in [0, pi), got {margin}.{degrees}"
            )
        if scale <= 0.0:
            raise ValueError(f"scale must be positive, got {scale}.")
        self.in_features, self.num_classes = embedding_size, num_classes
        self.margin, self.scale, self.easy_margin = margin, scale, easy_margin
        self.weight = nn.Parameter(torch.empty(num_classes, embedding_size))
        nn.init.xavier_normal_(self.weight)

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        cosine = cosines(embeddings, self.weight)
        if labels is None or not self.training:
            return cosine
        rows = torch.arange(len(cosine), device=cosine.device)
        columns = labels.reshape(-1)
        with_margin = self._add_margin(cosine[rows, columns])
        return self.scale * cosine.index_put((rows, columns), with_margin)

    def _add_margin(self, cosine: Tensor) -> Tensor:
        # 1e-6 keeps the gradient of the root finite where an embedding sits on its class weight
        sine = (1.0 - cosine.square()).clamp_min(0.0).add(1e-6).sqrt()
        with_margin = cosine * math.cos(self.margin) - sine * math.sin(self.margin)
        if self.easy_margin:
            return torch.where(cosine > 0.0, with_margin, cosine)
        linear = cosine - self.margin * math.sin(self.margin)
        return torch.where(cosine > -math.cos(self.margin), with_margin, linear)
