"""Hardest pairs by squared distance: one triplet per anchor, or one per batch."""

from __future__ import annotations

import torch
from torch import Tensor

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.hardest import hardest_squared
from lookalike.losses.pairs import mean_where
from lookalike.losses.partners import Partners
from lookalike.losses.read import read
from lookalike.types import ModelOutput


class TriHardLoss(BatchLoss):
    """Triplet loss of the hardest positive and negative by squared distance on the sphere.

    The loss of an anchor is ``max(0, max d^2(a, p) + margin - min d^2(a, n))``. Positives are
    found by label; the reference takes blocks of ``samples_each_class`` rows for granted. An
    anchor without a positive or without a negative does not count.

    Source: Hermans et al., "In Defense of the Triplet Loss", 2017, eq. 5, squared.
    https://arxiv.org/abs/1703.07737

    Args:
        margin: In units of the squared distance, which is at most 4.

    Shape:
        - features: ``[B, D]``, any norm; normalised here.
        - labels: ``[B]`` or ``[B, 1]`` int64.

    Example:
        >>> loss = TriHardLoss(margin=0.1)
        >>> loss(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0, 1]))
        tensor(0.)
    """

    reads = ("features",)

    def __init__(self, margin: float = 0.1) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        features = read(output, "features", "TriHardLoss")
        partners = Partners(labels)
        farthest, nearest = hardest_squared(features, partners, normalize=True)
        return mean_where((farthest + self.margin - nearest).relu(), partners.has_both)


class MSMLoss(BatchLoss):
    """Margin sample mining: only the hardest positive and negative pair of the whole batch.

    ``max(0, max d^2(positive pairs) + margin - min d^2(negative pairs))``, squared distances on
    the sphere; the two pairs need not share an image. Positives are found by label. A batch
    without either kind of pair has loss 0.

    Source: Xiao et al., "Margin Sample Mining Loss", 2017, with squared distances.
    https://arxiv.org/abs/1710.00478

    Args:
        margin: In units of the squared distance, which is at most 4.

    Shape:
        - features: ``[B, D]``, any norm; normalised here.
        - labels: ``[B]`` or ``[B, 1]`` int64.

    Example:
        >>> loss = MSMLoss(margin=0.1)
        >>> loss(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0, 1]))
        tensor(0.)
    """

    reads = ("features",)

    def __init__(self, margin: float = 0.1) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        features = read(output, "features", "MSMLoss")
        if len(features) == 0:
            return features.sum()
        partners = Partners(labels)
        farthest, nearest = hardest_squared(features, partners, normalize=True)
        farthest = farthest.masked_fill(partners.num_positives == 0, -torch.inf).amax()
        nearest = nearest.masked_fill(partners.num_negatives == 0, torch.inf).amin()
        return (farthest + self.margin - nearest).relu()
