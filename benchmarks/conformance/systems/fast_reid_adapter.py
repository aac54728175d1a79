"""fast-reid's compiled evaluator, from the source in its package ``fastreid``.

The package itself cannot be imported beside a present torch, so ``rank.py`` alone is loaded; the
compiled part is made by ``benchmarks.conformance.compile_fast_reid``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from types import ModuleType

import numpy as np
import torch

from benchmarks.conformance.compile_fast_reid import folder
from benchmarks.conformance.problem import NotOffered, Problem

NAME, VERSION = "fast-reid (compiled)", version("fastreid")


def _evaluator() -> ModuleType:
    sys.path.insert(0, str(folder() / "rank_cylib"))
    import rank_cy

    return rank_cy  # type: ignore[no-any-return]


_RANK = _evaluator()


def offers(metric: str) -> bool:
    """Tell whether it has the metric."""
    return metric.startswith("recall@") or metric in ("mAP", "mINP")


def score(problem: Problem, metrics: Sequence[str]) -> dict[str, float]:
    """Return the metrics as its ``ReidEvaluator`` does, from the cosine distance."""
    if problem.same_images and problem.query_cameras is not None:
        raise NotOffered("has one rule for removing items, by camera")
    query, gallery = torch.from_numpy(problem.query), torch.from_numpy(problem.gallery)
    distance = (1 - query @ gallery.T).numpy()
    curve, precisions, penalties = _RANK.evaluate_cy(
        distance, problem.query_labels, problem.gallery_labels, *_cameras(problem), 50, False
    )
    found = {"mAP": float(np.mean(precisions)), "mINP": float(np.mean(penalties))}
    for metric in metrics:
        if metric.startswith("recall@"):
            found[metric] = float(curve[int(metric[7:]) - 1])
    return {metric: found[metric] for metric in metrics}


def _cameras(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    if problem.query_cameras is not None and problem.gallery_cameras is not None:
        return problem.query_cameras, problem.gallery_cameras
    if problem.same_images:  # each image has a camera of its own
        return np.arange(len(problem.query)), np.arange(len(problem.gallery))
    return np.zeros(len(problem.query), np.int64), np.ones(len(problem.gallery), np.int64)
