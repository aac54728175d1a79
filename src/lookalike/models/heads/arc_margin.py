"""The additive angular margin of ArcFace."""

# Shape letters: B = batch, D = embedding dimension, C = classes

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

from lookalike.models.heads.cosine_classifier import CosineClassifier
from lookalike.models.heads.target import angular_margin


class ArcMargin(CosineClassifier):
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
        chunk_size: Classes whose logits are held at once; None holds all ``[B, C]``.
        sample_rate: Share of the classes that take part in a step (Partial FC): those of the
            batch, and others drawn anew for each step.
        sharded: Deal the classes to the processes of the run (docs/scale.md).

    Shape:
        - embeddings: ``[B, D]``, any norm; normalised here.
        - labels: ``[B]`` or ``[B, 1]`` int64, or None.
        - output: ``[B, C]`` float32. With labels in training mode: scaled logits with margin,
          ready for cross-entropy; with ``chunk_size`` or ``sample_rate`` what CELoss needs in
          their place. Otherwise plain cosines in [-1, 1], **not** scaled.

    Raises:
        ValueError: If margin is outside [0, pi) or scale is not positive.

    Example:
        >>> import torch
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
        chunk_size: int | None = None,
        sample_rate: float = 1.0,
        sharded: bool = False,
    ) -> None:
        if not 0.0 <= margin < math.pi:
            degrees = f" {margin} degrees is {math.radians(margin):.3f}." if margin > 3 else ""
            raise ValueError(
                f"margin is an angle in radians and must be in [0, pi), got {margin}.{degrees}"
            )
        super().__init__(
            embedding_size,
            num_classes,
            scale,
            chunk_size=chunk_size,
            sample_rate=sample_rate,
            sharded=sharded,
        )
        self.margin, self.easy_margin, self.gradient = margin, easy_margin, gradient

    def own(self, cosine: Tensor) -> Tensor:
        """Add the margin to the angle."""
        with_margin = angular_margin(cosine, self.margin, easy=self.easy_margin)
        if self.gradient == "straight_through":
            return cosine + (with_margin - cosine).detach()
        return with_margin
