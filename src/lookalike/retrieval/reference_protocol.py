"""Retrieval metrics by PaddleClas's rules, to be compared with numbers published under them.

Three of its rules are not the field's. Excluded items stay in the ranking: at similarity 0, or at
its end after re-ranking, where all queries are one block. Metrics
are means of the means of blocks of queries, each over the block's own answerable queries, so one
block without any makes the result NaN. And mINP counts the rank of the last relevant item from 0.
"""

# Shape letters: Q = queries, G = gallery, B = queries in a block

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lookalike.retrieval.metric import RetrievalMetric
from lookalike.retrieval.ranks import RelevantRanks, rank_among


def reference_values(
    metrics: Sequence[RetrievalMetric], similarity: Tensor, relevant: Tensor
) -> dict[str, float]:
    """Score one block of queries.

    Args:
        metrics: At least one.
        similarity: ``[B, G]``, larger is nearer.
        relevant: ``[B, G]`` bool: the labels are equal and the pair is not excluded.

    Example:
        >>> from lookalike.retrieval import MeanInverseNegativePenalty
        >>> s, relevant = torch.tensor([[0.1, 0.9]]), torch.tensor([[True, False]])
        >>> reference_values([MeanInverseNegativePenalty()], s, relevant)
        {'mINP': 1.0}
    """
    ranks = rank_among(similarity, relevant, torch.ones_like(relevant))
    values: dict[str, float] = {}
    for metric in metrics:
        for name, per_query in metric.per_query(ranks).items():
            values[name] = float(_from_rank_zero(name, per_query, ranks).nanmean())
    return values


def reference_evaluation(
    metrics: Sequence[RetrievalMetric],
    similarity: Callable[[Tensor], Tensor],
    query_labels: Tensor,
    gallery_labels: Tensor,
    *,
    query_cameras: Tensor | None = None,
    gallery_cameras: Tensor | None = None,
    block_size: int = 64,
    excluded_last: bool = False,
) -> tuple[dict[str, float], int]:
    """Score all queries, block by block; tell how many of them have a relevant item.

    Args:
        metrics: At least one.
        similarity: Rows of queries to ``[B, G]``.
        query_labels: ``[Q]`` int64.
        gallery_labels: ``[G]`` int64.
        query_cameras: ``[Q]`` int64; pairs of one label and one camera are excluded.
        gallery_cameras: ``[G]`` int64.
        block_size: Queries in a block; the result depends on it.
        excluded_last: Excluded items stand behind all others instead of at similarity 0.
    """
    totals: dict[str, float] = {}
    num_answerable = 0
    for rows in torch.split(torch.arange(len(query_labels)), block_size):
        scores, relevant = similarity(rows), query_labels[rows, None] == gallery_labels
        if query_cameras is not None and gallery_cameras is not None:
            excluded = relevant & (query_cameras[rows, None] == gallery_cameras)
            place = float(scores.min()) - 1.0 if excluded_last else 0.0
            scores, relevant = scores.masked_fill(excluded, place), relevant & ~excluded
        num_answerable += int(relevant.any(dim=1).sum())
        for name, value in reference_values(metrics, scores, relevant).items():
            totals[name] = totals.get(name, 0.0) + value * len(rows) / len(query_labels)
    return totals, num_answerable


def _from_rank_zero(name: str, per_query: Tensor, ranks: RelevantRanks) -> Tensor:
    """Turn mINP's ``m / r`` into ``m / (r - 1)``; leave the other metrics."""
    if name != "mINP":
        return per_query
    return ranks.counts / (ranks.counts / per_query - 1.0)
