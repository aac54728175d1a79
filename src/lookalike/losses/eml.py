"""Ensemble metric learning."""

from __future__ import annotations

import math

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.pairs import (
    itself,
    masked_logsumexp,
    mean_where,
    same_label,
    squared_distances,
)
from lookalike.losses.read import read
from lookalike.types import ModelOutput

_BETA = 100_000


class EmlLoss(BatchLoss):
    """A saturating loss of near negatives times far positives, by squared distance.

    With ``t = mean_p exp(d^2(a, p)) * mean_n exp(-d^2(a, n))`` the loss of an anchor is
    ``log(1 + beta t) / log(1 + beta)``, beta = 1e5, computed as one softplus, which cannot
    overflow. Positives are found by label; the reference takes blocks of ``samples_each_class``
    rows for granted. An anchor without a positive or without a negative does not count.

    Source: Huang et al., "Large Scale Strongly Supervised Ensemble Metric Learning", 2012.
    https://arxiv.org/abs/1212.6094

    Shape:
        - features: ``[B, D]``, not normalised.
        - labels: ``[B]`` or ``[B, 1]`` int64.

    Example:
        >>> import torch
        >>> EmlLoss()(torch.tensor([[0.0], [0.0], [9.0]]), torch.tensor([0, 0, 1])) < 1e-6
        tensor(True)
    """

    reads = ("features",)

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        features = read(output, "features", "EmlLoss")
        squared, same = squared_distances(features), same_label(labels)
        positive, negative = same & ~itself(features), ~same
        num_positive, num_negative = positive.sum(dim=1), negative.sum(dim=1)
        log_count = (num_positive * num_negative).clamp_min(1).to(squared.dtype).log()
        log_t = masked_logsumexp(squared, positive) + masked_logsumexp(-squared, negative)
        values = F.softplus(math.log(_BETA) + log_t - log_count) / math.log(1 + _BETA)
        return mean_where(values, (num_positive > 0) & (num_negative > 0))
