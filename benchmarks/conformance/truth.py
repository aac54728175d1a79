"""The right answers, by sorting every query's whole gallery in float64."""

from __future__ import annotations

import numpy as np

from benchmarks.conformance.problem import Array, Problem


def bounds(problem: Problem, metric: str) -> tuple[float, float]:
    """Return a metric with tied items set against the queries, and in their favour.

    Without ties both are the one right answer; with ties every rule that does not depend on the
    order of the rows lies between them.
    """
    return _value(problem, metric, favour=False), _value(problem, metric, favour=True)


def smallest_gap(problem: Problem) -> float:
    """Return how close a relevant and an irrelevant item of a query come without being equal."""
    similarity = _similarity(problem)
    relevant = problem.query_labels[:, None] == problem.gallery_labels
    smallest = np.inf
    for row, hits in zip(similarity, relevant, strict=True):
        gaps = np.abs(row[hits][:, None] - row[~hits])
        smallest = min(smallest, float(gaps[gaps > 0].min(initial=np.inf)))
    return smallest


def _similarity(problem: Problem) -> Array:
    # products and sums row by row: equal rows give equal numbers, which a matrix product need not
    query, gallery = problem.query.astype(np.float64), problem.gallery.astype(np.float64)
    return np.stack([(row * gallery).sum(axis=1) for row in query])


def _value(problem: Problem, metric: str, *, favour: bool) -> float:
    similarity, removed = _similarity(problem), problem.removed()
    relevant = (problem.query_labels[:, None] == problem.gallery_labels) & ~removed
    scores = []
    for row in range(len(similarity)):
        kept = ~removed[row]
        hits = relevant[row][kept]
        first = ~hits if favour else hits
        order = np.lexsort((first, -similarity[row][kept]))
        scores.append(_of_ranking(hits[order], metric))
    return float(np.nanmean(scores))


def _of_ranking(hits: Array, metric: str) -> float:
    """Score one query from its hits, best item first; NaN if it does not count."""
    name, _, cut = metric.removeprefix("called ").partition("@")
    total = int(hits.sum())
    ranks = np.flatnonzero(hits) + 1
    if name == "precision":
        return float((ranks <= int(cut)).sum()) / int(cut)
    if total == 0:
        return np.nan
    precision = np.arange(1, total + 1) / ranks
    if name == "recall":
        return float(ranks[0] <= int(cut))
    if name == "mINP":
        return total / float(ranks[-1])
    if name == "MRR":
        return 1.0 / float(ranks[0])
    if name == "R-precision":
        return float((ranks <= total).mean())
    if metric == "mAP@R":
        return float((precision * (ranks <= total)).mean())
    if name == "mAP":
        most = int(cut) if cut else len(hits)
        return float((precision * (ranks <= most)).sum()) / min(total, most)
    raise AssertionError(metric)
