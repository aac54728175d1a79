"""ArcFace with several centres per class."""

from __future__ import annotations

import math

from torch import Tensor

from lookalike.models.heads.cosine_classifier import CosineClassifier
from lookalike.models.heads.target import angular_margin


class SubCenterArcMargin(CosineClassifier):
    """Cosine classifier with K centres per class; the nearest one counts.

    Mislabelled or unusual images gather at a centre of their own instead of pulling the main one.

    Source: Deng et al., "Sub-center ArcFace", ECCV 2020, eq. 3.

    Args:
        embedding_size: D, length of one embedding.
        num_classes: C, number of training identities.
        num_centers: K, centres of each class.
        margin: Additive angular margin in radians.
        scale: Multiplier of every cosine. No unit.
        chunk_size: Classes whose logits are held at once; None holds all ``[B, C]``.
        sample_rate: Share of the classes that take part in a step (Partial FC): those of the
            batch, and others drawn anew for each step.
        sharded: Deal the classes to the processes of the run (docs/scale.md).

    Shape:
        - embeddings: ``[B, D]``, any norm; normalised here.
        - labels: ``[B]`` or ``[B, 1]`` int64, or None.
        - output: ``[B, C]`` float32. With labels in training: scaled logits with margin; with
          ``chunk_size`` or ``sample_rate`` what CELoss needs in their place. Otherwise plain
          cosines in [-1, 1], **not** scaled.

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
        *,
        chunk_size: int | None = None,
        sample_rate: float = 1.0,
        sharded: bool = False,
    ) -> None:
        if not 0.0 <= margin < math.pi or num_centers < 1:
            raise ValueError(
                f"margin must be in [0, pi) radians and num_centers positive, got {margin} and "
                f"{num_centers}."
            )
        super().__init__(
            embedding_size,
            num_classes,
            scale,
            num_centers=num_centers,
            chunk_size=chunk_size,
            sample_rate=sample_rate,
            sharded=sharded,
        )
        self.margin = margin

    def own(self, cosine: Tensor) -> Tensor:
        """Add the margin to the angle to the nearest centre."""
        return angular_margin(cosine, self.margin)
