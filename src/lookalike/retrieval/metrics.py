"""Retrieval metrics as functions of the ranks of the relevant items.

Each metric gives one value per query, NaN where a query without a relevant item does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from lookalike.errors import DataError
from lookalike.retrieval.ranks import RelevantRanks, ranks_from_similarity


class RetrievalMetric(Protocol):
    """What evaluation needs of a metric."""

    def per_query(self, ranks: RelevantRanks) -> dict[str, Tensor]:
        """Return ``[Q]`` float64 by name; NaN where a query has no relevant item."""
        ...


class _Callable:
    """Lets a metric be called on a ready similarity matrix."""

    def __init__(self, *, descending: bool = True) -> None:
        self.descending = descending

    def per_query(self, ranks: RelevantRanks) -> dict[str, Tensor]:
        raise AssertionError("every metric defines per_query")

    def __call__(
        self,
        similarity: Tensor,
        query_labels: Tensor,
        gallery_labels: Tensor,
        keep: Tensor | None = None,
    ) -> dict[str, float]:
        """Score a similarity matrix ``[Q, G]``; ``keep`` ``[Q, G]`` is False for excluded pairs.

        With ``descending=False`` the matrix holds distances.
        """
        scores = similarity if self.descending else -similarity
        ranks = ranks_from_similarity(scores, query_labels, gallery_labels, keep)
        return {name: mean(values) for name, values in self.per_query(ranks).items()}


class RecallAtK(_Callable):
    """Share of queries with a relevant item among their first k results.

    This is the Recall@K of metric learning, the same number as CMC rank-k in re-identification.
    It is not the set recall of information retrieval (found / all relevant).

    Source: Song et al., "Deep Metric Learning via Lifted Structured Feature Embedding",
    CVPR 2016, section 5. https://arxiv.org/abs/1511.06452

    Args:
        k: Cut-off ranks. A k beyond the gallery counts the whole gallery.
        descending: True for similarities, False for distances, when called on a matrix.

    Example:
        >>> s = torch.tensor([[0.9, 0.8, 0.1], [0.9, 0.8, 0.1]])
        >>> RecallAtK([1, 2])(s, torch.tensor([1, 2]), torch.tensor([1, 2, 1]))
        {'recall1': 0.5, 'recall2': 1.0}
    """

    def __init__(self, k: int | Sequence[int] = (1, 5), *, descending: bool = True) -> None:
        super().__init__(descending=descending)
        self.ks = _cut_offs(k)

    def per_query(self, ranks: RelevantRanks) -> dict[str, Tensor]:
        first = _nan(ranks)
        answerable = ranks.counts > 0
        first[answerable] = ranks.ranks[ranks.starts[answerable]].double()
        return {
            f"recall{k}": torch.where(first.isnan(), first, (first <= k).double()) for k in self.ks
        }


class MeanAveragePrecision(_Callable):
    """Mean over the queries of the average precision at the ranks of their relevant items.

    The average precision of a query with m relevant items at ranks r_1 < ... < r_m of the whole
    gallery is the mean of j / r_j.

    Source: Philbin et al., "Object retrieval with large vocabularies and fast spatial matching",
    CVPR 2007, section 3.3 (without its interpolation).

    Args:
        descending: True for similarities, False for distances, when called on a matrix.

    Example:
        >>> s = torch.tensor([[0.9, 0.8, 0.1]])
        >>> MeanAveragePrecision()(s, torch.tensor([1]), torch.tensor([1, 2, 1]))["mAP"]
        0.8333333333333333
    """

    def __init__(self, *, descending: bool = True) -> None:
        super().__init__(descending=descending)

    def per_query(self, ranks: RelevantRanks) -> dict[str, Tensor]:
        precision = ranks.place.double() / ranks.ranks.double()
        total = torch.zeros(len(ranks.counts), dtype=torch.float64)
        total.index_add_(0, ranks.query, precision)
        return {"mAP": total / _nan_for_zero(ranks.counts)}


class MeanInverseNegativePenalty(_Callable):
    """Mean over the queries of m / r_m: how far down the last of m relevant items stands.

    Source: Ye et al., "Deep Learning for Person Re-identification: A Survey and Outlook",
    TPAMI 2021, section 4.1. https://arxiv.org/abs/2001.04193

    Args:
        descending: True for similarities, False for distances, when called on a matrix.

    Example:
        >>> s = torch.tensor([[0.9, 0.8, 0.1]])
        >>> MeanInverseNegativePenalty()(s, torch.tensor([1]), torch.tensor([1, 2, 1]))["mINP"]
        0.6666666666666666
    """

    def __init__(self, *, descending: bool = True) -> None:
        super().__init__(descending=descending)

    def per_query(self, ranks: RelevantRanks) -> dict[str, Tensor]:
        values = _nan(ranks)
        answerable = ranks.counts > 0
        last = (ranks.starts + ranks.counts - 1)[answerable]
        values[answerable] = ranks.counts[answerable].double() / ranks.ranks[last].double()
        return {"mINP": values}


class PrecisionAtK(_Callable):
    """Mean over all queries of the relevant share of their first k results.

    The denominator is k, also where fewer than k items are relevant; a query without a relevant
    item counts as 0, which it is.

    Args:
        k: Cut-off ranks.
        descending: True for similarities, False for distances, when called on a matrix.

    Example:
        >>> s = torch.tensor([[0.9, 0.8, 0.1]])
        >>> PrecisionAtK([2])(s, torch.tensor([1]), torch.tensor([1, 2, 1]))
        {'precision@2': 0.5}
    """

    def __init__(self, k: int | Sequence[int] = (1, 5), *, descending: bool = True) -> None:
        super().__init__(descending=descending)
        self.ks = _cut_offs(k)

    def per_query(self, ranks: RelevantRanks) -> dict[str, Tensor]:
        values = {}
        for k in self.ks:
            hits = torch.zeros(len(ranks.counts), dtype=torch.float64)
            hits.index_add_(0, ranks.query, (ranks.ranks <= k).double())
            values[f"precision@{k}"] = hits / k
        return values


def mean(values: Tensor) -> float:
    """Average over the queries that have a value.

    Raises:
        DataError: If none has one.
    """
    answerable = values[~values.isnan()]
    if len(answerable) == 0:
        raise DataError(
            f"none of the {len(values)} queries has a gallery item with its label; check that the "
            "query and gallery lists use the same labels."
        )
    return float(answerable.mean())


def _cut_offs(k: Any) -> list[int]:
    ks = [k] if isinstance(k, int) else list(k)
    if not ks or min(ks) < 1:
        raise ValueError(f"k must be one or more positive numbers, got {k!r}.")
    return ks


def _nan(ranks: RelevantRanks) -> Tensor:
    return torch.full((len(ranks.counts),), torch.nan, dtype=torch.float64)


def _nan_for_zero(counts: Tensor) -> Tensor:
    return torch.where(counts > 0, counts.double(), torch.nan)
