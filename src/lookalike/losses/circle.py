"""Circle loss on pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.pair_gradient import loss_of_pairs, mean_shares, softmax_, softplus
from lookalike.losses.partners import Partners
from lookalike.losses.read import read
from lookalike.types import ModelOutput


class CircleLoss(BatchLoss):
    """Pull positives and push negatives each at its own pace: the farther from good, the harder.

    The loss of an anchor is ``log(1 + sum_n exp(gamma a_n (s_n - m)) sum_p exp(-gamma a_p (s_p -
    1 + m)))`` with the paces ``a_n = max(0, s_n + m)`` and ``a_p = max(0, 1 + m - s_p)``, which
    have no gradient. An anchor without a positive or without a negative does not count.

    Source: Sun et al., "Circle Loss: A Unified Perspective of Pair Similarity Optimization",
    CVPR 2020. https://arxiv.org/abs/2002.10857

    Args:
        margin: m, relaxation; the boundary is a circle of radius sqrt(2) m. In units of the
            cosine.
        gamma: Scale of the cosines.
        feature_from: Name of the model's output to work on.

    Shape:
        - features: ``[B, D]``, any norm; normalised here.
        - labels: ``[B]`` or ``[B, 1]`` int64.

    Example:
        >>> loss = CircleLoss(margin=0.25, gamma=80)
        >>> loss(torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]]), torch.tensor([0, 0, 1])) < 0.1
        tensor(True)
    """

    reads = ("features",)

    def __init__(
        self, margin: float = 0.4, gamma: float = 80.0, feature_from: str = "features"
    ) -> None:
        super().__init__()
        self.margin, self.gamma = margin, gamma
        self.feature_from, self.reads = feature_from, (feature_from,)

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        features = read(output, self.feature_from, "CircleLoss")
        partners, gamma = Partners(labels), self.gamma
        shares = mean_shares(partners.has_both, features)

        def block_loss(block: Tensor, part: slice) -> Tensor:
            near, share = partners.of(part), shares[part]
            similar = near.read(block)
            pace_negative = (block + self.margin).relu_().mul_(gamma)
            pace_positive = (1.0 + self.margin - similar).relu_().mul_(-gamma)
            push = near.fill_(block.sub_(self.margin).mul_(pace_negative), -torch.inf)
            pull = (similar - 1.0 + self.margin).mul_(pace_positive)
            pull.masked_fill_(~near.positive, -torch.inf)
            total = softmax_(push) + softmax_(pull)
            slope = share * total.sigmoid()
            near.add_(push.mul_(pace_negative).mul_(slope), pull.mul_(pace_positive).mul_(slope))
            return (share * softplus(total)).sum()

        return loss_of_pairs(features, None, block_loss, normalize=True)
