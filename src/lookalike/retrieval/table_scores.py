"""From two embedding tables to any metrics by name, under any convention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lookalike.errors import ConfigError, DataError
from lookalike.retrieval.evaluate import check_tables
from lookalike.retrieval.intervals import clustered_interval
from lookalike.retrieval.metric import mean
from lookalike.retrieval.metric_names import ThresholdMetric, metric_by_name, threshold_metric
from lookalike.retrieval.open_set import best_matches
from lookalike.retrieval.pairs import PairCounts, count_pairs
from lookalike.retrieval.ranks import RelevantRanks, Ties
from lookalike.retrieval.rules import Rules
from lookalike.table_parts import read_integers
from lookalike.types import EmbeddingTable


@dataclass
class Scores:
    """What was found.

    Attributes:
        values: Metric to its mean over the answerable queries.
        intervals: Metric to its 95 % interval; metrics of pairs have none.
        per_query: Metric to ``[Q]``, NaN where a query does not count.
        num_queries: Queries.
        num_answerable: Queries with a relevant item.
        num_gallery: Items.
    """

    values: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    per_query: dict[str, Tensor] = field(default_factory=dict)
    num_queries: int = 0
    num_answerable: int = 0
    num_gallery: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return each metric's value and interval, by the name it was asked for by."""
        return {
            name: {"value": value, "interval": list(self.intervals.get(name, ())) or None}
            for name, value in self.values.items()
        }


def score_tables(
    query: EmbeddingTable, gallery: EmbeddingTable, names: Sequence[str], rules: Rules
) -> Scores:
    """Score every query against the gallery.

    Args:
        query: The queries.
        gallery: What is searched; with ``num_galleries`` the same table.
        names: Of metrics, see ``metric_names``.
        rules: How.

    Raises:
        ConfigError: If a metric is unknown, or needs similarities and only an order is left.
        DataError: If the tables do not fit each other or no query can be answered.
    """
    for name in names:
        of_threshold = threshold_metric(name) or not metric_by_name(name)
        if of_threshold and rules.re_rank:
            raise ConfigError(f"{name} needs similarities; re-ranking leaves only an order.")
    check_tables(query, gallery, cameras=rules.cameras)
    query, gallery = rules.selected(query, gallery)
    if rules.num_galleries:
        return _random_galleries(query, names, rules)
    return _score(query, gallery, names, rules)


def _score(
    query: EmbeddingTable, gallery: EmbeddingTable, names: Sequence[str], rules: Rules
) -> Scores:
    tables, facts = rules.prepared(query, gallery)
    ranks = rules.ranks(tables, query.labels, gallery.labels, facts)
    scores = Scores(
        num_queries=len(query),
        num_answerable=int((ranks.counts > 0).sum()),
        num_gallery=len(gallery),
    )
    wanted = {name: threshold_metric(name) for name in dict.fromkeys(names)}
    counts = None
    if any(one and one.kind in ("auc", "tpr@fpr", "fnmr@fmr") for one in wanted.values()):
        counts = count_pairs(*tables, query.labels, gallery.labels, **facts)
    best = None
    if any(one and one.kind in ("fpir", "tpir") for one in wanted.values()):
        best = best_matches(*tables, query.labels, gallery.labels, **facts)
    for name, metric in wanted.items():
        if metric is None:
            _note(scores, name, per_query(ranks, name, rules.ties), query.labels)
        elif metric.kind in ("fpir", "tpir"):
            assert best is not None
            values = best.rate(metric.kind, metric.bound, ranks.counts > 0)
            if metric.kind == "fpir" and values.isnan().all():
                raise DataError(f"{name} needs queries whose label the gallery does not have.")
            _note(scores, name, values, query.labels)
        else:
            assert counts is not None
            scores.values[name] = _of_pairs(counts, metric)
    return scores


def per_query(ranks: RelevantRanks, name: str, ties: Ties = "pessimistic") -> Tensor:
    """Return the values ``[Q]`` of a metric of ranks by name."""
    return list(metric_by_name(name, ties).per_query(ranks).values())[-1]


def _note(scores: Scores, name: str, values: Tensor, labels: Tensor) -> None:
    scores.per_query[name] = values
    scores.values[name] = mean(values)
    scores.intervals[name] = clustered_interval(values, labels)


def _of_pairs(counts: PairCounts, metric: ThresholdMetric) -> float:
    if metric.kind == "auc":
        return counts.auc()
    rate, _ = counts.tpr_at_fpr(metric.bound)
    return rate if metric.kind == "tpr@fpr" else 1.0 - rate


def _random_galleries(table: EmbeddingTable, names: Sequence[str], rules: Rules) -> Scores:
    """Draw galleries of one image per label; a value is the mean over the draws."""
    rng = np.random.default_rng(0)
    labels = table.labels.numpy()
    runs, sums = [], {name: torch.zeros(len(table), dtype=torch.float64) for name in names}
    times = torch.zeros(len(table), dtype=torch.float64)
    for _ in range(rules.num_galleries):
        order = rng.permutation(len(labels))
        _, first = np.unique(labels[order], return_index=True)
        chosen = torch.from_numpy(np.sort(order[first]))
        others = torch.ones(len(table), dtype=torch.bool)
        others[chosen] = False
        rest = others.nonzero()[:, 0]
        if len(rest) == 0:
            raise DataError("every label has a single image; no query is left beside the gallery.")
        runs.append(_score(table.rows(rest), table.rows(chosen), names, rules))
        times[rest] += 1
        for name, values in runs[-1].per_query.items():
            sums[name][rest] += values.nan_to_num()
    whole = Scores(
        num_queries=len(table),
        num_answerable=int((times > 0).sum()),
        num_gallery=runs[0].num_gallery,
    )
    for name in names:
        whole.values[name] = float(np.mean([run.values[name] for run in runs]))
        if name in runs[0].per_query:
            values = sums[name] / torch.where(times > 0, times, torch.nan)
            whole.per_query[name] = values
            whole.intervals[name] = clustered_interval(values, table.labels)
    return whole


def sliced(scores: Scores, groups: Tensor) -> dict[int, dict[str, float]]:
    """Return the values of every group of queries, such as those of one camera or label.

    Args:
        scores: Of all queries.
        groups: ``[Q]`` int64.
    """
    found: dict[int, dict[str, float]] = {}
    groups = read_integers(groups, scores.num_queries, "groups")
    for group in torch.unique(groups).tolist():
        own = groups == group
        rows: Mapping[str, Tensor] = {k: v[own] for k, v in scores.per_query.items()}
        found[group] = {k: float(v.nanmean()) for k, v in rows.items() if not v.isnan().all()}
    return found
