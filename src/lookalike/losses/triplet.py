"""Triplet losses with the hardest positive and the hardest negative of the batch."""

from __future__ import annotations

from torch import Tensor

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.hardest import hardest_squared
from lookalike.losses.pairs import mean_where
from lookalike.losses.partners import Partners
from lookalike.losses.read import read
from lookalike.types import ModelOutput


def batch_hard(
    features: Tensor, labels: Tensor, margin: float, *, normalize: bool = False
) -> Tensor:
    """Return the mean over anchors of ``max(0, hardest positive - hardest negative + margin)``.

    As in the reference an anchor is its own nearest positive: alone of its label it still counts
    and pushes its negatives away. Only an anchor without a negative does not count. Of equally hard
    pairs one gets the whole gradient.

    Args:
        features: ``[B, D]``.
        labels: ``[B]`` or ``[B, 1]`` int64.
        margin: In units of the distance.
        normalize: Take the features' directions.
    """
    partners = Partners(labels)
    hardest = hardest_squared(features, partners, normalize=normalize)
    far, near = (squared.clamp_min(1e-12).sqrt() for squared in hardest)
    return mean_where((far - near + margin).relu(), partners.num_negatives > 0)


class TripletLoss(BatchLoss):
    """Batch-hard triplet loss of the embeddings as they are, not normalised.

    The loss of an anchor is ``max(0, max d(a, p) - min d(a, n) + margin)`` with the Euclidean
    distance d; the batch may hold any number of images per label.

    Source: Hermans et al., "In Defense of the Triplet Loss", 2017, eq. 5.
    https://arxiv.org/abs/1703.07737

    Args:
        margin: By how much the hardest negative must be farther than the hardest positive, in
            units of the distance.

    Shape:
        - features: ``[B, D]``.
        - labels: ``[B]`` or ``[B, 1]`` int64.

    Example:
        >>> import torch
        >>> loss = TripletLoss(margin=1.0)
        >>> loss(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1]))
        tensor(0.)
    """

    reads = ("features",)

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        return batch_hard(read(output, "features", "TripletLoss"), labels, self.margin)


class TripletLossV2(BatchLoss):
    """Batch-hard triplet loss, by default of embeddings of length one.

    The loss of an anchor is ``max(0, max d(a, p) - min d(a, n) + margin)`` with the Euclidean
    distance d. Unlike the reference's, it works for any number of images per label.

    Source: Hermans et al., "In Defense of the Triplet Loss", 2017, eq. 5.
    https://arxiv.org/abs/1703.07737

    Args:
        margin: By how much the hardest negative must be farther than the hardest positive, in
            units of the distance; between embeddings of length one that is at most 2.
        normalize: Scale the embeddings to length one first.
        feature_from: Name of the model's output to work on.

    Shape:
        - features: ``[B, D]``; ``[B, D, 1, 1]`` is flattened.
        - labels: ``[B]`` or ``[B, 1]`` int64.

    Example:
        >>> import torch
        >>> loss = TripletLossV2(margin=0.5)
        >>> loss(torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0, 1]))
        tensor(0.)
    """

    reads = ("features",)

    def __init__(
        self, margin: float = 0.5, normalize: bool = True, feature_from: str = "features"
    ) -> None:
        super().__init__()
        self.margin, self.normalize, self.feature_from = margin, normalize, feature_from
        self.reads = (feature_from,)

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        features = read(output, self.feature_from, "TripletLossV2")
        return batch_hard(features, labels, self.margin, normalize=self.normalize)
