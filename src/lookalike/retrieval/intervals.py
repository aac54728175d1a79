"""How far a mean over queries could be off."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lookalike.table_parts import read_integers


def clustered_interval(
    values: Tensor, labels: Tensor, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Bootstrap interval of the mean, resampling identities.

    Queries of one identity succeed and fail together, so identities are drawn, not queries.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13
    (percentile interval); Cameron, Gelbach and Miller, 2008 (clusters).

    Args:
        values: ``[Q]``, NaN where a query does not count.
        labels: ``[Q]``, the identity of each query.
        level: Probability the interval is made for.
        resamples: Number of bootstrap samples.
        seed: Of the resampling.

    Example:
        >>> clustered_interval(torch.ones(6), torch.tensor([0, 0, 1, 1, 2, 2]))
        (1.0, 1.0)
    """
    labels = read_integers(labels, len(values), "labels")
    counted = ~values.isnan()
    _, cluster = torch.unique(labels[counted], return_inverse=True)
    number = int(cluster.max()) + 1 if len(cluster) else 0
    if number == 0:
        return float("nan"), float("nan")
    sums = np.bincount(cluster.numpy(), weights=values[counted].double().numpy(), minlength=number)
    sizes = np.bincount(cluster.numpy(), minlength=number)
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    for index in range(resamples):
        times = np.bincount(rng.integers(number, size=number), minlength=number)
        means[index] = (times @ sums) / (times @ sizes)
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(means, [tail, 100.0 - tail])
    return float(low), float(high)
