"""open-metric-learning, by its batched search and ``calc_retrieval_metrics``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import torch
from oml.functional.knn import batched_knn_qg
from oml.functional.metrics import calc_retrieval_metrics

from benchmarks.conformance.problem import Problem

NAME, VERSION = "open-metric-learning", version("open-metric-learning")
_KEYS = {"recall": "cmc", "precision": "precision", "mAP": "map"}


def offers(metric: str) -> bool:
    """Tell whether it has the metric."""
    name, _, cut = metric.partition("@")
    return name in _KEYS and cut != "R"


def score(problem: Problem, metrics: Sequence[str]) -> dict[str, float]:
    """Return the metrics, all from one search through the whole gallery."""
    size = len(problem.gallery)
    wanted = {metric: _key(metric, size) for metric in metrics}
    tables = [problem.query, problem.gallery, problem.query_labels, problem.gallery_labels]
    query, gallery, query_labels, gallery_labels = (torch.from_numpy(t.copy()) for t in tables)
    ids = (torch.arange(len(query)), torch.arange(size)) if problem.same_images else (None, None)
    sequences = _sequences(problem)
    _, retrieved, relevant = batched_knn_qg(
        query,
        gallery,
        size,
        query_labels,
        gallery_labels,
        *ids,
        sequence_ids_query=sequences[0],
        sequence_ids_gallery=sequences[1],
    )
    found = calc_retrieval_metrics(
        retrieved,
        relevant,
        cmc_top_k=_cuts(wanted, "cmc"),
        precision_top_k=_cuts(wanted, "precision"),
        map_top_k=_cuts(wanted, "map"),
        verbose=False,
    )
    return {metric: float(found[name][cut]) for metric, (name, cut) in wanted.items()}


def _key(metric: str, size: int) -> tuple[str, int]:
    name, _, cut = metric.partition("@")
    return _KEYS[name], int(cut or size)


def _cuts(wanted: dict[str, tuple[str, int]], name: str) -> tuple[int, ...]:
    return tuple(cut for key, cut in wanted.values() if key == name)


def _sequences(problem: Problem) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Number each pair of label and camera: its rule leaves out a query's own sequence."""
    if problem.query_cameras is None or problem.gallery_cameras is None:
        return None, None
    most = max(problem.query_cameras.max(), problem.gallery_cameras.max()) + 1
    return (
        torch.from_numpy(problem.query_labels * most + problem.query_cameras),
        torch.from_numpy(problem.gallery_labels * most + problem.gallery_cameras),
    )
