"""Retrieval metrics as functions of the ranks of the relevant items.

Each metric gives one value per query, NaN where a query without a relevant item does not count.
``docs/metrics.md`` has every definition with its denominator, its treatment of ties and of a k
beyond the gallery.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lookalike.retrieval.expected import expected_first, expected_last, expected_precisions
from lookalike.retrieval.metric import (
    OfRanks,
    cut_offs,
    last_rank,
    nan_for_zero,
    per_query_sums,
    unanswered,
)
from lookalike.retrieval.ranks import RelevantRanks, Ties

_LONGEST_CURVE = 10_000


class RecallAtK(OfRanks):
    """Share of queries with a relevant item among their first k results.

    This is the Recall@K of metric learning, the same number as CMC rank-k in re-identification.
    It is not the set recall of information retrieval (found / all relevant).

    Source: Song et al., "Deep Metric Learning via Lifted Structured Feature Embedding",
    CVPR 2016, section 5. https://arxiv.org/abs/1511.06452

    Args:
        k: Cut-off ranks. A k beyond the gallery counts the whole gallery.
        ties: ``pessimistic`` places a relevant item behind irrelevant ones of the same similarity,
            ``optimistic`` before them, ``expected`` takes the mean over all orders.
        descending: True for similarities, False for distances, when called on a matrix.

    Example:
        >>> s = torch.tensor([[0.9, 0.8, 0.1], [0.9, 0.8, 0.1]])
        >>> RecallAtK([1, 2])(s, torch.tensor([1, 2]), torch.tensor([1, 2, 1]))
        {'recall1': 0.5, 'recall2': 1.0}
    """

    def __init__(
        self,
        k: int | Sequence[int] = (1, 5),
        ties: Ties = "pessimistic",
        *,
        descending: bool = True,
    ) -> None:
        super().__init__(ties, descending=descending)
        self.ks = cut_offs(k)

    def per_query(self, ranks: RelevantRanks) -> dict[str, Tensor]:
        if self.expects(ranks):
            return {f"recall{k}": expected_first(ranks, k) for k in self.ks}
        first = unanswered(ranks)
        answerable = ranks.counts > 0
        first[answerable] = self.settled(ranks)[ranks.starts[answerable]]
        return {
            f"recall{k}": torch.where(first.isnan(), first, (first <= k).double()) for k in self.ks
        }


class CMC(RecallAtK):
    """Cumulative matching curve: Recall@1 to Recall@k under the names of re-identification.

    Source: Gray, Brennan and Tao, "Evaluating Appearance Models for Recognition", PETS 2007.

    Args:
        k: Last rank of the curve.
        ties: As for :class:`RecallAtK`.
        first: First rank of the curve; k alone costs what one Recall@k costs.
        descending: True for similarities, False for distances, when called on a matrix.

    Example:
        >>> s = torch.tensor([[0.9, 0.8, 0.1], [0.9, 0.8, 0.1]])
        >>> CMC(2)(s, torch.tensor([1, 2]), torch.tensor([1, 2, 1]))
        {'cmc1': 0.5, 'cmc2': 1.0}
    """

    def __init__(
        self, k: int = 10, ties: Ties = "pessimistic", *, first: int = 1, descending: bool = True
    ) -> None:
        (last,) = cut_offs(k)
        if not 1 <= first <= last or last - first >= _LONGEST_CURVE:
            raise ValueError(
                f"a curve has 1 to {_LONGEST_CURVE:,} ranks, got those from {first} to {last}."
            )
        super().__init__(range(first, last + 1), ties, descending=descending)

    def per_query(self, ranks: RelevantRanks) -> dict[str, Tensor]:
        found = super().per_query(ranks)
        return {f"cmc{k}": found[f"recall{k}"] for k in self.ks}


class MeanAveragePrecision(OfRanks):
    """Mean over the queries of the average precision at the ranks of their relevant items.

    The average precision of a query with m relevant items at ranks r_1 < ... < r_m of the whole
    gallery is the mean of j / r_j. With ``k`` only ranks up to k count, and the sum is divided by
    ``min(m, k)``, the most it could be (mAP@k); with ``k="R"`` by m, and ranks up to m count
    (MAP@R).

    Source: Philbin et al., "Object retrieval with large vocabularies and fast spatial matching",
    CVPR 2007, section 3.3 (without its interpolation); Musgrave et al., "A Metric Learning Reality
    Check", ECCV 2020, section 3.2 (MAP@R).

    Args:
        k: Cut-off rank, or ``R`` for the number of relevant items; None ranks the whole gallery.
        ties: As for :class:`RecallAtK`.
        descending: True for similarities, False for distances, when called on a matrix.

    Example:
        >>> s, labels = torch.tensor([[0.9, 0.8, 0.1]]), torch.tensor([1, 2, 1])
        >>> MeanAveragePrecision()(s, torch.tensor([1]), labels)["mAP"]
        0.8333333333333333
        >>> MeanAveragePrecision("R")(s, torch.tensor([1]), labels)
        {'mAP@R': 0.5}
    """

    def __init__(
        self,
        k: int | str | None = None,
        ties: Ties = "pessimistic",
        *,
        descending: bool = True,
    ) -> None:
        super().__init__(ties, descending=descending)
        if isinstance(k, str) and k != "R":
            raise ValueError(f"k must be a positive number, 'R' or nothing, got {k!r}.")
        self.k = k
        if k is not None and not isinstance(k, str):
            (self.k,) = cut_offs(k)

    @property
    def name(self) -> str:
        return "mAP" if self.k is None else f"mAP@{self.k}"

    def per_query(self, ranks: RelevantRanks) -> dict[str, Tensor]:
        most, divisor = last_rank(self.k, ranks)
        if self.expects(ranks):
            return {self.name: expected_precisions(ranks, most) / divisor}
        at = self.settled(ranks)
        precision = torch.where(at <= most[ranks.query], ranks.place.double() / at, 0.0)
        return {self.name: per_query_sums(precision, ranks) / divisor}


class MeanInverseNegativePenalty(OfRanks):
    """Mean over the queries of m / r_m: how far down the last of m relevant items stands.

    Source: Ye et al., "Deep Learning for Person Re-identification: A Survey and Outlook",
    TPAMI 2021, section 4.1. https://arxiv.org/abs/2001.04193

    Args:
        ties: As for :class:`RecallAtK`.
        descending: True for similarities, False for distances, when called on a matrix.

    Example:
        >>> s = torch.tensor([[0.9, 0.8, 0.1]])
        >>> MeanInverseNegativePenalty()(s, torch.tensor([1]), torch.tensor([1, 2, 1]))["mINP"]
        0.6666666666666666
    """

    def per_query(self, ranks: RelevantRanks) -> dict[str, Tensor]:
        if self.expects(ranks):
            return {"mINP": expected_last(ranks)}
        values = unanswered(ranks)
        answerable = ranks.counts > 0
        last = (ranks.starts + ranks.counts - 1)[answerable]
        values[answerable] = ranks.counts[answerable].double() / self.settled(ranks)[last]
        return {"mINP": values}


class PrecisionAtK(OfRanks):
    """Mean over all queries of the relevant share of their first k results.

    The denominator is k, also where fewer than k items are relevant; a query without a relevant
    item counts as 0, which it is. With ``k="R"``, R-Precision, k is each query's number of
    relevant items, and a query without any does not count.

    Args:
        k: Cut-off ranks, or ``R``.
        ties: As for :class:`RecallAtK`.
        descending: True for similarities, False for distances, when called on a matrix.

    Example:
        >>> s, labels = torch.tensor([[0.9, 0.8, 0.1]]), torch.tensor([1, 2, 1])
        >>> PrecisionAtK([2])(s, torch.tensor([1]), labels)
        {'precision@2': 0.5}
        >>> PrecisionAtK("R")(s, torch.tensor([1]), labels)
        {'r_precision': 0.5}
    """

    def __init__(
        self,
        k: int | str | Sequence[int] = (1, 5),
        ties: Ties = "pessimistic",
        *,
        descending: bool = True,
    ) -> None:
        super().__init__(ties, descending=descending)
        if isinstance(k, str) and k != "R":
            raise ValueError(f"k must be positive numbers or 'R', got {k!r}.")
        self.ks = None if isinstance(k, str) else cut_offs(k)

    def per_query(self, ranks: RelevantRanks) -> dict[str, Tensor]:
        if self.ks is None:
            hits = self._hits(ranks, ranks.counts.double())
            return {"r_precision": hits / nan_for_zero(ranks.counts)}
        return {
            f"precision@{k}": self._hits(ranks, torch.full_like(ranks.counts, k).double()) / k
            for k in self.ks
        }

    def _hits(self, ranks: RelevantRanks, most: Tensor) -> Tensor:
        """Return ``[Q]``: relevant items among the first ``most`` ``[Q]``."""
        if not self.expects(ranks):
            return per_query_sums((self.settled(ranks) <= most[ranks.query]).double(), ranks)
        # of a group of tied items each is as likely in as any other
        room = (most[ranks.query] - ranks.above - ranks.before).double()
        return per_query_sums((room / ranks.group).clamp(0.0, 1.0), ranks)


class MeanReciprocalRank(OfRanks):
    """Mean over the queries of 1 / rank of the first relevant item.

    Source: Voorhees, "The TREC-8 Question Answering Track Report", 1999.

    Args:
        ties: As for :class:`RecallAtK`.
        descending: True for similarities, False for distances, when called on a matrix.

    Example:
        >>> s = torch.tensor([[0.9, 0.8, 0.1]])
        >>> MeanReciprocalRank()(s, torch.tensor([2]), torch.tensor([1, 2, 1]))
        {'MRR': 0.5}
    """

    def per_query(self, ranks: RelevantRanks) -> dict[str, Tensor]:
        if self.expects(ranks):
            return {"MRR": expected_first(ranks, None)}
        values = unanswered(ranks)
        answerable = ranks.counts > 0
        values[answerable] = 1.0 / self.settled(ranks)[ranks.starts[answerable]]
        return {"MRR": values}
