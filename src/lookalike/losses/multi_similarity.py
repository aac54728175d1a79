"""Multi-similarity loss."""

from __future__ import annotations

import torch
from torch import Tensor

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.pair_gradient import loss_of_pairs, softmax_, softplus
from lookalike.losses.partners import Partners
from lookalike.losses.read import read
from lookalike.types import ModelOutput


class MultiSimilarityLoss(BatchLoss):
    """Weight pairs by their own similarity and by that of the anchor's other pairs.

    The loss of an anchor is ``1/alpha log(1 + sum_p exp(-alpha (s_p - base))) + 1/beta log(1 +
    sum_n exp(beta (s_n - base)))`` over the pairs that are informative: a positive less similar
    than the most similar negative plus epsilon, a negative more similar than the least similar
    positive minus epsilon. The loss is the mean over all anchors. A sum over no pair is 0: without
    mining an anchor without a positive still pushes its negatives away, with mining it has no
    informative pair.

    Source: Wang et al., "Multi-Similarity Loss with General Pair Weighting", CVPR 2019, eqs. 11,
    12 and 15. https://arxiv.org/abs/1904.06627

    Args:
        alpha: Sharpness for positives.
        beta: Sharpness for negatives.
        base: Similarity around which pairs gain weight (lambda); the paper's text has 1, its
            authors' code 0.5.
        epsilon: Slack of the mining, in units of the cosine; null takes all pairs.
        feature_from: Name of the model's output to work on.

    Shape:
        - features: ``[B, D]``, any norm; normalised here.
        - labels: ``[B]`` or ``[B, 1]`` int64.

    Raises:
        ValueError: If alpha or beta is not positive.

    Example:
        >>> loss = MultiSimilarityLoss()
        >>> loss(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0, 1]))
        tensor(0.)
    """

    reads = ("features",)

    def __init__(
        self,
        alpha: float = 2.0,
        beta: float = 50.0,
        base: float = 0.5,
        epsilon: float | None = 0.1,
        feature_from: str = "features",
    ) -> None:
        super().__init__()
        if alpha <= 0.0 or beta <= 0.0:
            raise ValueError(f"alpha and beta must be positive; got {alpha} and {beta}.")
        self.alpha, self.beta, self.base, self.epsilon = alpha, beta, base, epsilon
        self.feature_from, self.reads = feature_from, (feature_from,)

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        features = read(output, self.feature_from, "MultiSimilarityLoss")
        partners = Partners(labels)
        share = 1.0 / max(len(features), 1)

        def block_loss(block: Tensor, part: slice) -> Tensor:
            near = partners.of(part)
            similar, positive, kept = near.read(block), near.positive, None
            near.fill_(block, -torch.inf)
            if self.epsilon is not None:
                least = similar.masked_fill(~positive, torch.inf).amin(dim=1, keepdim=True)
                positive = positive & (similar < block.amax(dim=1, keepdim=True) + self.epsilon)
                kept = torch.gt(block, least - self.epsilon, out=torch.empty_like(block))
            pull = similar.sub_(self.base).mul_(-self.alpha).masked_fill_(~positive, -torch.inf)
            push = block.sub_(self.base).mul_(self.beta)
            total_pull, total_push = softmax_(pull), softmax_(push, kept)
            pull.mul_(-share * total_pull.sigmoid())
            near.add_(push.mul_(share * total_push.sigmoid()), pull)
            values = softplus(total_pull) / self.alpha + softplus(total_push) / self.beta
            return share * values.sum()

        return loss_of_pairs(features, None, block_loss, normalize=True)
