"""CosFace on pairs instead of class weights."""

from __future__ import annotations

import torch
from torch import Tensor

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.pair_gradient import loss_of_pairs, softmax_, softplus
from lookalike.losses.partners import Partners
from lookalike.losses.read import read
from lookalike.types import ModelOutput


class PairwiseCosface(BatchLoss):
    """Every positive of an anchor must be more similar than every negative, by a margin.

    The loss of an anchor is ``log(1 + sum_n sum_p exp(gamma (s_n - s_p + margin)))``, and the mean
    is over all anchors: one without a positive or without a negative has an empty sum, so a loss
    of 0, and counts as such.

    Source: Sun et al., "Circle Loss", CVPR 2020, eq. 1; form and name as in fast-reid.
    https://arxiv.org/abs/2002.10857

    Args:
        margin: In units of the cosine.
        gamma: Scale of the cosines.

    Shape:
        - features: ``[B, D]``, any norm; normalised here.
        - labels: ``[B]`` or ``[B, 1]`` int64.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
        >>> PairwiseCosface(margin=0.25, gamma=16)(features, torch.tensor([0, 0, 1])) < 1e-6
        tensor(True)
    """

    reads = ("features",)

    def __init__(self, margin: float, gamma: float) -> None:
        super().__init__()
        self.margin, self.gamma = margin, gamma

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        features = read(output, "features", "PairwiseCosface")
        partners, share = Partners(labels), 1.0 / max(len(features), 1)

        def block_loss(block: Tensor, part: slice) -> Tensor:
            near = partners.of(part)
            pull = near.read(block).mul_(-self.gamma).masked_fill_(~near.positive, -torch.inf)
            push = near.fill_(block.add_(self.margin).mul_(self.gamma), -torch.inf)
            total = softmax_(push) + softmax_(pull)
            slope = share * self.gamma * total.sigmoid()
            near.add_(push.mul_(slope), pull.mul_(-slope))
            return share * softplus(total).sum()

        return loss_of_pairs(features, None, block_loss, normalize=True)
