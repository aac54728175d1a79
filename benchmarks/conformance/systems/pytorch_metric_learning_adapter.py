"""pytorch-metric-learning, by ``AccuracyCalculator`` with its FAISS search."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

from benchmarks.conformance.problem import NotOffered, Problem

NAME, VERSION = "pytorch-metric-learning", version("pytorch-metric-learning")
_NAMES = {
    "recall@1": "precision_at_1",
    "mAP": "mean_average_precision",
    "mAP@R": "mean_average_precision_at_r",
    "R-precision": "r_precision",
    "MRR": "mean_reciprocal_rank",
}


def offers(metric: str) -> bool:
    """Tell whether it has the metric."""
    return metric in _NAMES or metric.startswith("mAP@")


def score(problem: Problem, metrics: Sequence[str]) -> dict[str, float]:
    """Return the metrics; those of one cut-off come from one search."""
    if problem.query_cameras is not None:
        raise NotOffered("has no rule for cameras")
    values: dict[str, float] = {}
    for k in {_cut_off(metric) for metric in metrics}:
        asked = [metric for metric in metrics if _cut_off(metric) == k]
        names = {metric: _NAMES.get(metric, "mean_average_precision") for metric in asked}
        calculator = AccuracyCalculator(
            # asked for the reciprocal rank alone it does not search
            include=tuple({*names.values(), "precision_at_1"}),
            k=k,
            device=torch.device("cpu"),
        )
        found = calculator.get_accuracy(
            torch.from_numpy(problem.query),
            torch.from_numpy(problem.query_labels),
            torch.from_numpy(problem.gallery),
            torch.from_numpy(problem.gallery_labels),
            problem.same_images,
        )
        values |= {metric: float(found[name]) for metric, name in names.items()}
    return values


def _cut_off(metric: str) -> int | None:
    """Return how many neighbours are asked for; None for all."""
    return int(metric[4:]) if metric.startswith("mAP@") and metric != "mAP@R" else None
