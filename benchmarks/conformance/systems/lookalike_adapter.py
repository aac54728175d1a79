"""Lookalike, by ``evaluate_retrieval``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import torch

from benchmarks.conformance.problem import Problem
from lookalike import EmbeddingTable, evaluate_retrieval
from lookalike.retrieval.metric_names import metric_by_name

NAME, VERSION = "Lookalike", version("lookalike")
_KEYS = {"R-precision": "r_precision"}


def offers(metric: str) -> bool:
    """Tell whether it has the metric."""
    return True


def score(problem: Problem, metrics: Sequence[str]) -> dict[str, float]:
    """Return the metrics."""
    names = [metric.removeprefix("called ") for metric in metrics]
    tables = _table(problem, "query"), _table(problem, "gallery")
    result = evaluate_retrieval(
        *tables,
        [metric_by_name(name) for name in names],
        same_images=problem.same_images,
        block_size=problem.block_size,
    )
    keys = [_KEYS.get(name, name).replace("recall@", "recall") for name in names]
    return {metric: result.values[key] for metric, key in zip(metrics, keys, strict=True)}


def _table(problem: Problem, side: str) -> EmbeddingTable:
    vectors, labels, cameras = (
        getattr(problem, name) for name in (side, f"{side}_labels", f"{side}_cameras")
    )
    what = "image" if problem.same_images else side
    return EmbeddingTable(
        embeddings=torch.from_numpy(vectors.copy()),
        labels=torch.from_numpy(labels.copy()),
        cameras=None if cameras is None else torch.from_numpy(cameras.copy()),
        ids=[f"{what}-{row}.jpg" for row in range(len(vectors))],
    )
