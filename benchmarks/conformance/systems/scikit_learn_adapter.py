"""scikit-learn, by ``average_precision_score`` query by query."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
from sklearn.metrics import average_precision_score

from benchmarks.conformance.problem import Problem

NAME, VERSION = "scikit-learn", version("scikit-learn")


def offers(metric: str) -> bool:
    """Tell whether it has the metric."""
    return metric == "mAP"


def score(problem: Problem, metrics: Sequence[str]) -> dict[str, float]:
    """Return mAP, over the queries that have a relevant item."""
    similarity, kept = problem.scores(), ~problem.removed()
    relevant = problem.query_labels[:, None] == problem.gallery_labels
    values = [
        average_precision_score(hits[here], scores[here])
        for scores, hits, here in zip(similarity, relevant, kept, strict=True)
        if hits[here].any()
    ]
    return {"mAP": float(np.mean(values))}
