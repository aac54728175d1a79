"""Hardest pairs by squared distance: one triplet per anchor, or one per batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lookalike.geometry import unit
from lookalike.losses.pairs import itself, mean_where, same_label, squared_distances
from lookalike.losses.read import read
from lookalike.types import ModelOutput


class TriHardLoss(nn.Module):
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
        features = unit(read(output, "features", "TriHardLoss"))
        squared, same = squared_distances(features), same_label(labels)
        positive = same & ~itself(features)
        farthest = squared.masked_fill(~positive, -torch.inf).amax(dim=1)
        nearest = squared.masked_fill(same, torch.inf).amin(dim=1)
        counts = positive.any(dim=1) & ~same.all(dim=1)
        return mean_where((farthest + self.margin - nearest).relu(), counts)


class MSMLoss(nn.Module):
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
        features = unit(read(output, "features", "MSMLoss"))
        squared, same = squared_distances(features), same_label(labels)
        farthest = squared.masked_fill(~same | itself(features), -torch.inf).amax()
        nearest = squared.masked_fill(same, torch.inf).amin()
        return (farthest + self.margin - nearest).relu()
