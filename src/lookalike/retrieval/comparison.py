"""Is one model better than another, or is it noise? A paired test over the same queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lookalike.errors import DataError
from lookalike.table_parts import read_integers

Array = NDArray[np.float64]
LEVEL = 0.05


@dataclass(frozen=True)
class Difference:
    """One metric of two models.

    Attributes:
        first: Mean of model A over the common answerable queries.
        second: Mean of model B.
        interval: 95 % interval of ``second - first``, identities resampled.
        p_value: Chance of a difference this large if the models were exchangeable, by identity.
        num_queries: Queries compared.
        num_identities: Identities they belong to.
    """

    first: float
    second: float
    interval: tuple[float, float]
    p_value: float
    num_queries: int
    num_identities: int


def paired_difference(
    first: Tensor, second: Tensor, labels: Tensor, *, resamples: int = 5000, seed: int = 0
) -> Difference:
    """Compare the values two models give the same queries.

    Queries of one identity succeed and fail together, so identities are the units: their summed
    differences are resampled for the interval, and their signs are flipped at random for the test.
    Of two equal models every sign is as likely, whatever the distribution.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13 and 15;
    Smucker et al., "A Comparison of Statistical Significance Tests for Information Retrieval
    Evaluation", CIKM 2007 (randomisation test).

    Args:
        first: ``[Q]`` values of model A, NaN where a query does not count.
        second: ``[Q]`` values of model B.
        labels: ``[Q]``, the identity of each query.
        resamples: Bootstrap samples, and random assignments of signs.
        seed: Of both.

    Raises:
        DataError: If no query counts for both, or the numbers of queries differ.

    Example:
        >>> import torch
        >>> a, labels = torch.zeros(40), torch.arange(40)
        >>> paired_difference(a, a + 1, labels).p_value < 0.001
        True
    """
    if first.shape != second.shape or first.ndim != 1:
        shapes = f"{list(first.shape)} and {list(second.shape)}"
        raise DataError(f"a paired test needs two values of each query, got {shapes}.")
    labels = read_integers(labels, len(first), "labels")
    counted = (~first.isnan() & ~second.isnan()).numpy()
    if not counted.any():
        raise DataError("no query has a match in both galleries; nothing can be compared.")
    before, after = first.double().numpy()[counted], second.double().numpy()[counted]
    _, cluster = np.unique(labels.numpy()[counted], return_inverse=True)
    number = int(cluster.max()) + 1
    sums: Array = np.zeros(number)
    np.add.at(sums, cluster, after - before)
    sizes = np.bincount(cluster, minlength=number)
    rng = np.random.default_rng(seed)
    return Difference(
        first=float(before.mean()),
        second=float(after.mean()),
        interval=_interval(sums, sizes, rng, resamples),
        p_value=_p_value(sums, rng, resamples),
        num_queries=int(counted.sum()),
        num_identities=number,
    )


def _interval(
    sums: Array, sizes: NDArray[np.int64], rng: np.random.Generator, resamples: int
) -> tuple[float, float]:
    means = np.empty(resamples)
    for index in range(resamples):
        drawn = rng.integers(len(sums), size=len(sums))
        means[index] = sums[drawn].sum() / sizes[drawn].sum()
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def _p_value(sums: Array, rng: np.random.Generator, resamples: int) -> float:
    """Return the share of random signs whose sum is as far from 0, the given one included."""
    moved = sums[sums != 0.0]
    observed = abs(sums.sum())
    as_far = 0
    for _ in range(resamples):
        signs = rng.integers(0, 2, size=len(moved)) * 2 - 1
        as_far += abs(moved @ signs) >= observed * (1.0 - 1e-12)
    return float((as_far + 1) / (resamples + 1))


def verdicts(differences: Mapping[str, Difference], level: float = LEVEL) -> dict[str, str]:
    """Name a winner for each metric, only outside the noise of all of them together.

    Several metrics are several chances of a false winner, so the p-values are stepped down (Holm,
    Scandinavian Journal of Statistics 1979).

    Example:
        >>> same = Difference(0.5, 0.5, (-0.1, 0.1), 1.0, 10, 10)
        >>> better = Difference(0.2, 0.9, (0.5, 0.8), 0.0002, 10, 10)
        >>> verdicts({"recall@1": better, "mAP": same})
        {'recall@1': 'B is better', 'mAP': 'no difference outside the noise'}
    """
    ordered = sorted(differences, key=lambda name: differences[name].p_value)
    found: dict[str, str] = {}
    significant = True
    for place, name in enumerate(ordered):
        one = differences[name]
        significant = significant and one.p_value <= level / (len(ordered) - place)
        winner = "B is better" if one.second > one.first else "A is better"
        found[name] = winner if significant else "no difference outside the noise"
    return {name: found[name] for name in differences}
