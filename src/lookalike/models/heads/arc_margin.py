"""The additive angular margin of ArcFace."""

# Shape letters: B = batch, D = embedding dimension, C = classes

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from lookalike.geometry import cosines
from lookalike.models.heads.target import (
    add_angle,
    angular_margin,
    check_scale,
    class_weight,
    true_class,
    with_true_class,
)


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
        gradient: ``exact``, or ``straight_through``: the margin then changes the value but not
            the slope, as some published trainers do.

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
        *,
        gradient: Literal["exact", "straight_through"] = "exact",
    ) -> None:
        super().__init__()
        if not 0.0 <= margin < math.pi:
            degrees = f" {margin} degrees is {math.radians(margin):.3f}." if margin > 3 else ""
            raise ValueError(
                f"margin is an angle in radians and must be in [0, pi), got {margin}.{degrees}"
            )
        check_scale(scale)
        self.in_features, self.num_classes = embedding_size, num_classes
        self.margin, self.scale, self.easy_margin = margin, scale, easy_margin
        self.gradient = gradient
        self.weight = class_weight(embedding_size, num_classes)

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        cosine = cosines(embeddings, self.weight)
        if labels is None or not self.training:
            return cosine
        target = true_class(cosine, labels)
        with_margin = self._add_margin(target)
        if self.gradient == "straight_through":
            with_margin = target + (with_margin - target).detach()
        return self.scale * with_true_class(cosine, labels, with_margin)

    def _add_margin(self, cosine: Tensor) -> Tensor:
        if self.easy_margin:
            with_margin = add_angle(cosine, math.cos(self.margin), math.sin(self.margin))
            return torch.where(cosine > 0.0, with_margin, cosine)
        return angular_margin(cosine, self.margin)
