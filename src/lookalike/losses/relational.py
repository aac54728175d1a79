"""Relational distillation: the student copies distances and angles, not the vectors."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.pairs import distances, itself, products, squared_distances
from lookalike.losses.two_models import two_tensors

TargetSize = int | tuple[int, int]


def _embeddings(maps: Tensor, target_size: TargetSize | None) -> Tensor:
    if target_size is not None and maps.ndim == 4:
        maps = F.adaptive_avg_pool2d(maps, target_size)
    return maps.flatten(1)


class RkdDistance(BatchLoss):
    """Difference of the two models' pairwise distances, each divided by its mean.

    Source: Park et al., "Relational Knowledge Distillation", CVPR 2019.
    https://arxiv.org/abs/1904.05068

    Args:
        eps: Added to the mean distance, which divides.
        target_size: Feature maps are pooled to this first: one edge, or height and width; null
            keeps them.

    Shape:
        - student, teacher: ``[B, D]`` or ``[B, D, H, W]``; D may differ.

    Example:
        >>> points = torch.tensor([[0.0], [1.0], [3.0]])
        >>> RkdDistance()(points, 10 * points).item() < 1e-6
        True
    """

    reads: tuple[str, ...] = ()

    def __init__(self, eps: float = 1e-12, target_size: TargetSize | None = 1) -> None:
        super().__init__()
        self.eps, self.target_size = eps, target_size

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = two_tensors(student, teacher, "RkdDistance")
        return F.smooth_l1_loss(self._relations(student), self._relations(teacher))

    def _relations(self, maps: Tensor) -> Tensor:
        distance = distances(_embeddings(maps, self.target_size))
        return distance / (distance.mean() + self.eps)


class RkdAngle(BatchLoss):
    """Difference of the two models' angles in every triangle of three images.

    The cosine at image i between j and k comes from inner products alone, so memory is B^3
    numbers, not B^2 D.

    Source: Park et al., "Relational Knowledge Distillation", CVPR 2019.
    https://arxiv.org/abs/1904.05068

    Args:
        target_size: Feature maps are pooled to this first: one edge, or height and width; null
            keeps them.

    Shape:
        - student, teacher: ``[B, D]`` or ``[B, D, H, W]``; D may differ.

    Example:
        >>> points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> RkdAngle()(points, 10 * points).item() < 1e-6
        True
    """

    reads: tuple[str, ...] = ()

    def __init__(self, target_size: TargetSize | None = None) -> None:
        super().__init__()
        self.target_size = target_size

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = two_tensors(student, teacher, "RkdAngle")
        return F.smooth_l1_loss(self._relations(student), self._relations(teacher))

    def _relations(self, maps: Tensor) -> Tensor:
        features = _embeddings(maps, self.target_size)
        features = features - features.detach().mean(dim=0)
        inner = products(features, features)
        squared = squared_distances(features)
        # images that coincide span no angle
        apart = (squared > 1e-12) & ~itself(features)
        length = torch.where(apart, squared, 1.0).sqrt()
        corner = inner.diagonal()[:, None] - inner
        spanned = inner[None, :, :] + corner[:, :, None] - inner[:, None, :]
        cosine = spanned / (length[:, :, None] * length[:, None, :])
        return cosine.masked_fill(~(apart[:, :, None] & apart[:, None, :]), 0.0)
