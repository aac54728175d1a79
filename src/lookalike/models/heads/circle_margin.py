"""Circle loss as a classifier."""

from __future__ import annotations

from torch import Tensor

from lookalike.models.heads.cosine_classifier import CosineClassifier


class CircleMargin(CosineClassifier):
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
        >>> CircleMargin(8, 3, 0.35, 64)(torch.randn(4, 8), torch.tensor([0, 1, 2, 0])).shape
        torch.Size([4, 3])
    """

    def __init__(
        self,
        embedding_size: int,
        num_classes: int,
        margin: float,
        scale: float,
        *,
        chunk_size: int | None = None,
        sample_rate: float = 1.0,
        sharded: bool = False,
    ) -> None:
        super().__init__(
            embedding_size,
            num_classes,
            scale,
            chunk_size=chunk_size,
            sample_rate=sample_rate,
            sharded=sharded,
        )
        self.margin = margin

    def own(self, cosine: Tensor) -> Tensor:
        """Weigh the true class's distance to its optimum."""
        return (1.0 + self.margin - cosine.detach()).relu() * (cosine - 1.0 + self.margin)

    def others(self, cosine: Tensor) -> Tensor:
        """Weigh the distance of the other classes to theirs."""
        return self.slope(cosine) * (cosine - self.margin)

    def slope(self, cosine: Tensor) -> Tensor:
        """Return the weight of each; it carries no gradient."""
        return (cosine.detach() + self.margin).relu()
