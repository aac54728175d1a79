"""The same embeddings under the definitions of other libraries, and why the numbers differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lookalike.retrieval.metric import mean, per_query_sums
from lookalike.retrieval.metrics import (
    MeanAveragePrecision,
    MeanInverseNegativePenalty,
    PrecisionAtK,
    RecallAtK,
)
from lookalike.retrieval.ranks import RelevantRanks

K = 5


@dataclass(frozen=True)
class Reading:
    """One definition of a metric.

    Attributes:
        metric: What it is called there.
        system: Whose definition it is.
        value: On these embeddings.
        why: What it does.
    """

    metric: str
    system: str
    value: float
    why: str


def readings(ranks: RelevantRanks, positive: Tensor) -> list[Reading]:
    """Score ranks by every definition.

    Args:
        ranks: Of the relevant items.
        positive: ``[Q]`` int64: relevant items with a similarity above 0.
    """
    found: list[Reading] = []

    def add(metric: str, system: str, values: Tensor | float, why: str) -> None:
        value = values if isinstance(values, float) else float(values.nanmean())
        found.append(Reading(metric, system, value, why))

    recall = RecallAtK([1]).per_query(ranks)["recall1"]
    add("recall@1", "Lookalike", recall, "queries without a relevant item do not count")
    add("recall@1", "open-metric-learning", recall.nan_to_num(), "they count as 0")
    _average_precisions(ranks, add)
    add(
        "mAP",
        "Lookalike",
        MeanAveragePrecision().per_query(ranks)["mAP"],
        "j / r_j over the whole ranking, divided by the relevant items",
    )
    add(
        "mAP",
        "torchmetrics",
        _above_zero(ranks, positive),
        "relevant items with a similarity of 0 or less do not count as relevant",
    )
    penalty = MeanInverseNegativePenalty().per_query(ranks)["mINP"]
    add("mINP", "Lookalike", penalty, "relevant items / rank of the last one")
    from_zero = ranks.counts / (ranks.counts / penalty - 1.0)
    add("mINP", "PaddleClas", from_zero, "the rank is counted from 0: a perfect ranking is inf")
    precision = PrecisionAtK([K]).per_query(ranks)[f"precision@{K}"]
    add(f"precision@{K}", "Lookalike", precision, "every query counts, divided by K")
    answerable = torch.where(ranks.counts > 0, precision, torch.nan)
    add(
        f"precision@{K}",
        "pytorch-metric-learning",
        answerable,
        "queries without a relevant item do not count",
    )
    return found


def _average_precisions(
    ranks: RelevantRanks, add: Callable[[str, str, Tensor | float, str], None]
) -> None:
    """Add the four divisors of mAP@K."""
    inside = ranks.ranks <= K
    total = per_query_sums(torch.where(inside, ranks.place.double() / ranks.ranks, 0.0), ranks)
    hits = per_query_sums(inside.double(), ranks)
    relevant = torch.where(ranks.counts > 0, ranks.counts.double(), torch.nan)
    name = f"mAP@{K}"
    add(
        name,
        "Lookalike, sentence-transformers",
        total / relevant.clamp(max=K),
        "divided by the most there could be, min(relevant, K)",
    )
    add(name, "pytorch-metric-learning", total / relevant, "divided by all relevant items")
    found = torch.where(hits > 0, total / hits.clamp_min(1), total).where(ranks.counts > 0, 0.0)
    add(
        name,
        "open-metric-learning",
        found,
        "divided by the relevant items found among the first K; 0 for queries without any",
    )
    add(
        "mAP@R",
        "Lookalike, pytorch-metric-learning",
        MeanAveragePrecision("R").per_query(ranks)["mAP@R"],
        "K is each query's relevant items",
    )


def _above_zero(ranks: RelevantRanks, positive: Tensor) -> Tensor:
    counted = ranks.place <= positive[ranks.query]
    precision = torch.where(counted, ranks.place.double() / ranks.ranks, 0.0)
    total = per_query_sums(precision, ranks)
    some = torch.where(positive > 0, total / positive.clamp_min(1), 0.0)
    return torch.where(ranks.counts > 0, some, torch.nan)


def block_means(ranks: RelevantRanks, blocks: tuple[int, ...] = (4, 16, 64)) -> list[Reading]:
    """Return Recall@1 as a mean of means of blocks, each over its own answerable queries."""
    recall = RecallAtK([1]).per_query(ranks)["recall1"]
    found = []
    for size in blocks:
        parts = torch.split(recall, size)
        value = sum(float(part.nanmean()) * len(part) for part in parts) / len(recall)
        why = f"mean of the means of blocks of {size} queries, weighted by their length"
        found.append(Reading("recall@1", f"PaddleClas, sim_block_size {size}", value, why))
    return found


def check_answerable(ranks: RelevantRanks) -> None:
    """Refuse tables in which no query has a relevant item.

    Raises:
        DataError: If there is none.
    """
    mean(RecallAtK([1]).per_query(ranks)["recall1"])
