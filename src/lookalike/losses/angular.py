"""Triplet losses on the cosine, with and without a memory of earlier batches."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.cross_batch_memory import CrossBatchMemory
from lookalike.losses.hardest import hardest_similarities
from lookalike.losses.pairs import mean_where
from lookalike.losses.partners import Partners
from lookalike.losses.read import read
from lookalike.types import ModelOutput

Reduction = Literal["mean", "sum", "none"]


class TripletAngularMarginLoss(BatchLoss):
    """Triplet loss of the least similar positive and the most similar negative.

    The loss of an anchor is ``max(0, max s(a, n) - min s(a, p) + margin)``, s being the cosine.
    With ``add_absolute`` the similarities themselves are held to values: ``absolute_loss_weight *
    (mean max(0, ap_value - s(a, p)) + mean max(0, s(a, n) - an_value))`` is added to the reduced
    loss, or to its mean where ``reduction`` is ``none``. The second term is 1 instead of 0 where it
    has no effect, as in the reference: a constant, so training is the same. Anchors without a
    negative do not count; an anchor is its own positive.

    Source: PaddleClas's; the mining is Hermans et al., "In Defense of the Triplet Loss", 2017,
    eq. 5. https://arxiv.org/abs/1703.07737

    Args:
        margin: By how much the positive must be more similar than the negative, in units of the
            cosine.
        normalize: Scale the embeddings to length one first.
        reduction: ``mean`` or ``sum`` over the anchors, or ``none``.
        add_absolute: Add the two absolute terms.
        absolute_loss_weight: Their weight.
        ap_value: The least cosine a positive should have.
        an_value: The largest cosine a negative should have.
        feature_from: Name of the model's output to work on.

    Shape:
        - features: ``[B, D]``; ``[B, D, 1, 1]`` is flattened.
        - labels: ``[B]`` or ``[B, 1]`` int64.

    Example:
        >>> loss = TripletAngularMarginLoss(margin=0.5)
        >>> loss(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0, 1]))
        tensor(0.)
    """

    reads = ("features",)

    def __init__(
        self,
        margin: float = 0.5,
        normalize: bool = True,
        reduction: Reduction = "mean",
        add_absolute: bool = False,
        absolute_loss_weight: float = 1.0,
        ap_value: float = 0.9,
        an_value: float = 0.5,
        feature_from: str = "features",
    ) -> None:
        super().__init__()
        self.margin, self.normalize, self.reduction = margin, normalize, reduction
        self.add_absolute, self.absolute_loss_weight = add_absolute, absolute_loss_weight
        self.ap_value, self.an_value = ap_value, an_value
        self.feature_from, self.reads = feature_from, (feature_from,)

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        features = self._features(output)
        return self.against(features, labels)

    def _features(self, output: ModelOutput | Tensor) -> Tensor:
        return read(output, self.feature_from, type(self).__name__, normalize=self.normalize)

    def against(
        self,
        features: Tensor,
        labels: Tensor,
        others: Tensor | None = None,
        other_labels: Tensor | None = None,
        own: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of anchors ``[B, D]`` with positives and negatives from ``[N, D]``.

        Args:
            features: The anchors.
            labels: Theirs.
            others: What they are paired with; the anchors themselves if None.
            other_labels: Theirs.
            own: ``[B]``, the place of each anchor among the others, which is not its positive; -1
                for one that has none.
        """
        partners = Partners(labels, other_labels, own)
        positive, negative = hardest_similarities(features, others, partners)
        # in the batch an anchor is its own positive
        num_positives = partners.num_same if others is None else partners.num_positives
        counts = (num_positives > 0) & (partners.num_negatives > 0)
        loss = self._reduced((negative - positive + self.margin).relu(), counts)
        if not self.add_absolute:
            return loss
        above = negative - self.an_value
        absolute = (self.ap_value - positive).relu() + torch.where(above > 0.0, above, 1.0)
        return loss.mean() + self.absolute_loss_weight * mean_where(absolute, counts)

    def _reduced(self, hinge: Tensor, counts: Tensor) -> Tensor:
        if self.reduction == "mean":
            return mean_where(hinge, counts)
        kept = hinge.masked_fill(~counts, 0.0)
        return kept.sum() if self.reduction == "sum" else kept


class TripletAngularMarginLossXBM(TripletAngularMarginLoss):
    """Angular triplet loss of the batch, and of the batch against a memory of earlier batches.

    As in the paper, the batch enters the memory first. In the memory an image is not its own
    positive, and an anchor without a positive there does not count; embeddings of the image from
    earlier steps are other views of it, and count.

    Source: Wang et al., "Cross-Batch Memory for Embedding Learning", CVPR 2020, algorithm 1.
    https://arxiv.org/abs/1912.06798

    Args:
        start_iter: After this many iterations embeddings are remembered and used.
        xbm_size: Embeddings in the memory.
        xbm_weight: Weight of the memory's part.
        embedding_size: D, length of one embedding.
        margin: As in TripletAngularMarginLoss, like all that follow.
        normalize: Scale the embeddings to length one first.
        reduction: ``mean`` or ``sum`` over the anchors, or ``none``.
        add_absolute: Add the two absolute terms.
        absolute_loss_weight: Their weight.
        ap_value: The least cosine a positive should have.
        an_value: The largest cosine a negative should have.
        feature_from: Name of the model's output to work on.

    Shape:
        - features: ``[B, D]``.
        - labels: ``[B]`` or ``[B, 1]`` int64.

    Example:
        >>> loss = TripletAngularMarginLossXBM(0, xbm_size=8, xbm_weight=1.0, embedding_size=2)
        >>> loss(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))
        tensor(0.)
    """

    remembers = True

    def __init__(
        self,
        start_iter: int,
        xbm_size: int,
        xbm_weight: float,
        embedding_size: int,
        margin: float = 0.5,
        normalize: bool = True,
        reduction: Reduction = "mean",
        add_absolute: bool = False,
        absolute_loss_weight: float = 1.0,
        ap_value: float = 0.9,
        an_value: float = 0.5,
        feature_from: str = "features",
    ) -> None:
        super().__init__(
            margin, normalize, reduction, add_absolute, absolute_loss_weight, ap_value, an_value,
            feature_from,
        )  # fmt: skip
        self.xbm_weight = xbm_weight
        self.memory = CrossBatchMemory(xbm_size, embedding_size, start_iter)

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        features = self._features(output)
        loss = self.against(features, labels)
        own = self.memory.push(features.detach(), labels) if self.training else None
        if self.memory.filled == 0:
            return loss
        earlier = self.against(features, labels, *self.memory.contents(), own)
        return loss + self.xbm_weight * earlier
