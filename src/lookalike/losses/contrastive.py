"""Contrastive losses on the cosine, with and without a memory of earlier batches."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.cross_batch_memory import CrossBatchMemory
from lookalike.losses.pair_gradient import loss_of_pairs
from lookalike.losses.partners import Partners
from lookalike.losses.read import read
from lookalike.types import ModelOutput


class ContrastiveLoss(BatchLoss):
    """Pull every pair of one label together, push pairs of two apart down to a similarity.

    ``1/B sum_i [sum over positives (1 - s_ij) + sum over negatives with s_ij > margin of s_ij]``,
    s being the cosine. An image is never its own positive: positives more similar than
    ``1 - epsilon`` are left out, and without ``normalize`` also those as good as equal to it,
    ``|a - b|^2 <= epsilon (|a|^2 + |b|^2)``, which is the same for embeddings of length one.

    Source: Hadsell et al., "Dimensionality Reduction by Learning an Invariant Mapping", CVPR 2006,
    on cosines as in Wang et al., "Cross-Batch Memory", CVPR 2020.
    https://arxiv.org/abs/1912.06798

    Args:
        margin: Similarity below which a negative is far enough.
        normalize: Scale the embeddings to length one first.
        epsilon: Positives nearer to 1 than this are taken for copies.
        feature_from: Name of the model's output to work on.

    Shape:
        - features: ``[B, D]``; ``[B, D, 1, 1]`` is flattened.
        - labels: ``[B]`` or ``[B, 1]`` int64.

    Example:
        >>> loss = ContrastiveLoss(margin=0.5)
        >>> loss(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0]))
        tensor(1.)
    """

    reads = ("features",)

    def __init__(
        self,
        margin: float,
        normalize: bool = True,
        epsilon: float = 1e-5,
        feature_from: str = "features",
    ) -> None:
        super().__init__()
        self.margin, self.normalize, self.epsilon = margin, normalize, epsilon
        self.feature_from, self.reads = feature_from, (feature_from,)

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        features = self._features(output)
        return self._sum(features, None, Partners(labels))

    def _features(self, output: ModelOutput | Tensor) -> Tensor:
        return read(output, self.feature_from, type(self).__name__, normalize=self.normalize)

    def _sum(self, features: Tensor, others: Tensor | None, partners: Partners) -> Tensor:
        share = 1.0 / max(len(features), 1)
        paired = features if others is None else others
        lengths, other_lengths = (x.detach().square().sum(dim=1) for x in (features, paired))

        def block_loss(block: Tensor, part: slice) -> Tensor:
            near = partners.of(part)
            similar = near.read(block)
            positive = near.positive & (similar < 1.0 - self.epsilon)
            if not self.normalize:
                both = lengths[part, None] + other_lengths[near.columns]
                positive &= both - 2.0 * similar > self.epsilon * both
            pull = (1.0 - similar).masked_fill_(~positive, 0.0).sum()
            near.fill_(block, -torch.inf)
            push = F.threshold(block, self.margin, 0.0).sum()
            near.add_(block.gt_(self.margin), -positive.to(block.dtype))
            block.mul_(share)
            return share * (pull + push)

        return loss_of_pairs(features, others, block_loss)


class ContrastiveLossXBM(ContrastiveLoss):
    """Contrastive loss of the batch, and of the batch against a memory of earlier batches.

    As in the paper, the batch enters the memory first. An image is not paired with its own entry;
    its embeddings of earlier steps are other views of it, and count.

    Source: Wang et al., "Cross-Batch Memory for Embedding Learning", CVPR 2020, algorithm 1.
    https://arxiv.org/abs/1912.06798

    Args:
        xbm_size: Embeddings in the memory.
        xbm_weight: Weight of the memory's part.
        start_iter: After this many iterations embeddings are remembered and used.
        margin: Similarity below which a negative is far enough.
        embedding_size: D, length of one embedding.
        normalize: Scale the embeddings to length one first.
        epsilon: Positives nearer to 1 than this are taken for copies.
        feature_from: Name of the model's output to work on.

    Shape:
        - features: ``[B, D]``.
        - labels: ``[B]`` or ``[B, 1]`` int64.

    Example:
        >>> loss = ContrastiveLossXBM(8, 1.0, start_iter=0, margin=0.5, embedding_size=2)
        >>> loss(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0]))
        tensor(2.)
    """

    remembers = True

    def __init__(
        self,
        xbm_size: int,
        xbm_weight: float,
        start_iter: int,
        margin: float,
        embedding_size: int,
        normalize: bool = True,
        epsilon: float = 1e-5,
        feature_from: str = "features",
    ) -> None:
        super().__init__(margin, normalize, epsilon, feature_from)
        self.xbm_weight = xbm_weight
        self.memory = CrossBatchMemory(xbm_size, embedding_size, start_iter)

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        features = self._features(output)
        loss = self._sum(features, None, Partners(labels))
        own = self.memory.push(features.detach(), labels) if self.training else None
        if self.memory.filled == 0:
            return loss
        kept, kept_labels = self.memory.contents()
        earlier = self._sum(features, kept, Partners(labels, kept_labels, own))
        return loss + self.xbm_weight * earlier
