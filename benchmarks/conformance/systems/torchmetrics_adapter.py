"""torchmetrics, by its classes; pairs that do not count are not handed over."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import torch
from torchmetrics import MetricCollection
from torchmetrics.retrieval import (
    RetrievalHitRate,
    RetrievalMAP,
    RetrievalMRR,
    RetrievalPrecision,
    RetrievalRecall,
    RetrievalRPrecision,
)
from torchmetrics.retrieval.base import RetrievalMetric

from benchmarks.conformance.problem import Problem

NAME, VERSION = "torchmetrics", version("torchmetrics")
_CUT = {
    "recall": RetrievalHitRate,
    "mAP": RetrievalMAP,
    "precision": RetrievalPrecision,
    "called recall": RetrievalRecall,
}
_WHOLE = {"mAP": RetrievalMAP, "MRR": RetrievalMRR, "R-precision": RetrievalRPrecision}


def offers(metric: str) -> bool:
    """Tell whether it has the metric."""
    name, _, cut = metric.partition("@")
    return metric in _WHOLE or (name in _CUT and cut not in ("", "R"))


def score(problem: Problem, metrics: Sequence[str]) -> dict[str, float]:
    """Return the metrics, all from one table of pairs."""
    similarity = torch.from_numpy(problem.scores())
    labels = torch.from_numpy(problem.query_labels), torch.from_numpy(problem.gallery_labels)
    target = labels[0][:, None] == labels[1]
    rows = torch.arange(len(similarity))[:, None].expand_as(similarity)
    if problem.query_cameras is not None or problem.same_images:
        kept = torch.from_numpy(~problem.removed())
        similarity, target, rows = similarity[kept], target[kept], rows[kept]
    asked = MetricCollection({str(i): _metric(name) for i, name in enumerate(metrics)})
    asked.update(similarity.flatten(), target.flatten(), indexes=rows.flatten())
    found = asked.compute()
    return {name: float(found[str(i)]) for i, name in enumerate(metrics)}


def _metric(metric: str) -> RetrievalMetric:
    name, _, cut = metric.partition("@")
    lone = "neg" if name == "precision" else "skip"
    if metric in _WHOLE:
        return _WHOLE[metric](empty_target_action=lone)
    return _CUT[name](top_k=int(cut), empty_target_action=lone)
