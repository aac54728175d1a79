"""The additive cosine margin of CosFace."""

from __future__ import annotations

from torch import Tensor

from lookalike.models.heads.cosine_classifier import CosineClassifier


class CosMargin(CosineClassifier):
    """Cosine classifier that subtracts a margin from the true class's cosine (CosFace).

    Source: Wang et al., "CosFace", CVPR 2018, eq. 4. https://arxiv.org/abs/1801.09414

    Args:
        embedding_size: D, length of one embedding.
        num_classes: C, number of training identities.
        margin: Subtracted from the cosine. No unit.
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
        >>> CosMargin(8, 3)(torch.randn(4, 8), torch.tensor([0, 1, 2, 0])).shape
        torch.Size([4, 3])
    """

    def __init__(
        self,
        embedding_size: int,
        num_classes: int,
        margin: float = 0.35,
        scale: float = 64.0,
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
        """Subtract the margin."""
        return cosine - self.margin
