"""The same embeddings under the definitions of other libraries, and why the numbers differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lookalike.errors import ConfigError
from lookalike.retrieval.metric import mean, per_query_sums
from lookalike.retrieval.metrics import (
    MeanAveragePrecision,
    MeanInverseNegativePenalty,
    PrecisionAtK,
    RecallAtK,
)
from lookalike.retrieval.ranks import RelevantRanks
from lookalike.retrieval.reference_protocol import reference_evaluation
from lookalike.retrieval.rules import Rules, whole
from lookalike.types import EmbeddingTable

K = 5
_BLOCKS = "mean of means of blocks of queries; excluded items rank at similarity 0"
_PADDLECLAS = {
    "recall@1": _BLOCKS,
    "mAP": _BLOCKS,
    "mINP": "the same, and the rank is counted from 0: a perfect ranking is inf",
}


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


def paddleclas_readings(
    query: EmbeddingTable, gallery: EmbeddingTable, rules: Rules
) -> list[Reading]:
    """Score tables as PaddleClas does, in blocks of three sizes (its default is 64)."""
    query, gallery = rules.selected(query, gallery)
    (queries, items), facts = rules.prepared(query, gallery)
    left, right = whole((queries, items))
    metrics = [RecallAtK([1]), MeanAveragePrecision(), MeanInverseNegativePenalty()]
    itself = "; a query finds itself" if rules.own_images and not rules.cameras else ""
    found = []
    for size in (8, 64, 512):
        values, _ = reference_evaluation(
            metrics,
            lambda rows: left[rows] @ right.T,
            query.labels,
            gallery.labels,
            query_cameras=facts.get("query_cameras"),
            gallery_cameras=facts.get("gallery_cameras"),
            block_size=size,
        )
        system = f"PaddleClas, blocks of {size}"
        for metric, key in (("recall@1", "recall1"), ("mAP", "mAP"), ("mINP", "mINP")):
            found.append(Reading(metric, system, values[key], _PADDLECLAS[metric] + itself))
    return found


def rank_for_explanation(
    query: EmbeddingTable, gallery: EmbeddingTable, rules: Rules
) -> tuple[RelevantRanks, Tensor]:
    """Return the ranks, and ``[Q]`` how many relevant items have a similarity above 0.

    Raises:
        ConfigError: If the rules have no one gallery or no similarities to explain.
        DataError: If no query has a relevant item.
    """
    if rules.num_galleries or rules.re_rank:
        raise ConfigError("--explain needs one gallery ranked by similarity, not re-ranked.")
    query, gallery = rules.selected(query, gallery)
    (queries, items), facts = rules.prepared(query, gallery)
    ranks = rules.ranks((queries, items), query.labels, gallery.labels, facts)
    mean(RecallAtK([1]).per_query(ranks)["recall1"])  # refuses tables without an answer
    positive = torch.zeros(len(query), dtype=torch.int64)
    order = torch.argsort(gallery.labels, stable=True)
    sorted_labels = gallery.labels[order]
    first = torch.searchsorted(sorted_labels, query.labels)
    last = torch.searchsorted(sorted_labels, query.labels, right=True)
    for row in range(len(query)):
        own = order[first[row] : last[row]]
        if rules.own_images:
            same = [gallery.ids[i] != query.ids[row] for i in own.tolist()]
            own = own[torch.tensor(same, dtype=torch.bool)]
        if rules.cameras and query.cameras is not None and gallery.cameras is not None:
            own = own[gallery.cameras[own] != query.cameras[row]]
        if len(own):
            products = items.take(own) @ queries.take(torch.tensor([row]))[0]
            positive[row] = int((products > 0).sum())
    return ranks, positive
