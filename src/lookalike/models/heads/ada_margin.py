"""A margin that follows the quality of each image."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lookalike.geometry import at_least_float32, cosines
from lookalike.models.heads.target import check_count, check_scale, true_class, with_true_class


class AdaMargin(nn.Module):
    """Cosine classifier whose margin depends on the embedding's norm (AdaFace).

    The norm, compared with its running mean and deviation, stands for the quality of the image:
    clear images get an angular margin against them, poor ones an additive one.

    Source: Kim et al., "AdaFace", CVPR 2022, eq. 16 to 19. https://arxiv.org/abs/2204.00964

    Args:
        embedding_size: D, length of one embedding.
        num_classes: C, number of training identities.
        margin: m, largest margin, in radians and in cosine.
        concentration: h, how strongly the norm acts.
        scale: Multiplier of every cosine. No unit.
        momentum: Share of a batch in the running mean and deviation of the norms.

    Shape:
        - embeddings: ``[B, D]``; their norms matter.
        - labels: ``[B]`` or ``[B, 1]`` int64, or None.
        - output: ``[B, C]`` float32. With labels scaled logits with margin, in evaluation too, as
          in the reference; the running statistics move whenever labels are given. Without labels
          plain cosines.

    Example:
        >>> AdaMargin(8, 3)(torch.randn(4, 8), torch.tensor([0, 1, 2, 0])).shape
        torch.Size([4, 3])
    """

    t: Tensor
    batch_mean: Tensor
    batch_std: Tensor

    def __init__(
        self,
        embedding_size: int = 512,
        num_classes: int = 70722,
        margin: float = 0.4,
        concentration: float = 0.333,
        scale: float = 64.0,
        momentum: float = 1.0,
    ) -> None:
        super().__init__()
        check_scale(scale)
        self.in_features, self.num_classes = embedding_size, num_classes
        self.margin, self.concentration, self.scale = margin, concentration, scale
        self.momentum, self.eps = momentum, 1e-3
        # columns of a uniform [D, C] matrix, each scaled to length one
        kernel = torch.empty(num_classes, embedding_size).uniform_(-1.0, 1.0)
        self.kernel = nn.Parameter(torch.nn.functional.normalize(kernel))
        self.register_buffer("t", torch.zeros(1))
        self.register_buffer("batch_mean", torch.full((1,), 20.0))
        self.register_buffer("batch_std", torch.full((1,), 100.0))

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        check_count(embeddings, labels)
        cosine = cosines(embeddings, self.kernel)
        if labels is None:
            return cosine
        cosine = cosine.clamp(-1.0 + self.eps, 1.0 - self.eps)
        quality = self._quality(at_least_float32(embeddings))
        angle = true_class(cosine, labels).acos() - self.margin * quality
        angle = angle.clamp(self.eps, math.pi - self.eps)
        target = angle.cos() - (self.margin + self.margin * quality)
        return self.scale * with_true_class(cosine, labels, target)

    @torch.no_grad()
    def _quality(self, embeddings: Tensor) -> Tensor:
        """Return each norm's distance from the running mean, within [-1, 1]."""
        norms = torch.linalg.vector_norm(embeddings, dim=1).clamp(0.001, 100.0)
        if len(norms) > 0:
            self.batch_mean.lerp_(norms.mean().to(self.batch_mean), self.momentum)
        if len(norms) > 1:
            self.batch_std.lerp_(norms.std().to(self.batch_std), self.momentum)
        quality = (norms - self.batch_mean) / (self.batch_std + self.eps)
        within: Tensor = (quality * self.concentration).clamp(-1.0, 1.0)
        return within
