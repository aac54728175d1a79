"""PaddleClas's evaluation, written anew from its documented procedure, on paddle tensors.

The ``paddleclas`` package on PyPI has no metrics, so its own program cannot be installed. This is
the same sequence of tensor operations: similarities of a block of queries, excluded pairs set to
similarity 0, for every metric a full argsort and a gather of the labels, the mean over the block's
answerable queries, and the mean over blocks weighted by their size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version

import paddle

from benchmarks.conformance.problem import NotOffered, Problem

NAME, VERSION = "PaddleClas (procedure)", f"paddle {version('paddlepaddle')}"
paddle.set_device("cpu")
Hits = paddle.Tensor


def offers(metric: str) -> bool:
    """Tell whether it has the metric."""
    name, _, cut = metric.removeprefix("called ").partition("@")
    return name in ("recall", "precision") or (name in ("mAP", "mINP") and not cut)


def score(problem: Problem, metrics: Sequence[str]) -> dict[str, float]:
    """Return the metrics, block by block."""
    if problem.same_images:
        raise NotOffered("cannot leave out the query's own image")
    groups = _grouped(metrics)
    gallery = paddle.to_tensor(problem.gallery)
    labels = paddle.to_tensor(problem.gallery_labels).reshape([1, -1])
    totals = dict.fromkeys(metrics, 0.0)
    for start in range(0, len(problem.query), problem.block_size):
        rows = slice(start, start + problem.block_size)
        similarity = paddle.matmul(paddle.to_tensor(problem.query[rows]), gallery, transpose_y=True)
        own = paddle.to_tensor(problem.query_labels[rows]).reshape([-1, 1])
        kept = None
        if problem.query_cameras is not None:
            cameras = paddle.to_tensor(problem.query_cameras[rows]).reshape([-1, 1])
            others = paddle.to_tensor(problem.gallery_cameras).reshape([1, -1])
            kept = (own != labels) | (cameras != others)
            similarity = similarity * kept.astype("float32")
        share = len(own) / len(problem.query)
        for asked, function in groups:
            if function is _penalty and kept is not None:
                raise AttributeError("mINP with cameras calls an operator that does not exist")
            hits = _ranked(similarity, own, labels, kept)  # anew for every metric
            for name, value in function(hits, asked).items():
                totals[name] += value * share
    return totals


def _ranked(similarity: Hits, own: Hits, labels: Hits, kept: Hits | None) -> Hits:
    """Return ``[B, G]`` float: relevant or not, best item first."""
    order = paddle.argsort(similarity, axis=1, descending=True)
    table = paddle.broadcast_to(labels, similarity.shape)
    hits = paddle.index_sample(table, order) == own
    if kept is not None:
        hits = hits & paddle.index_sample(kept.astype("float32"), order).astype("bool")
    return hits.astype("float32")


def _grouped(metrics: Sequence[str]) -> list[tuple[list[str], Callable[..., dict[str, float]]]]:
    """Put the cut-offs of one metric together, as its YAML does."""
    kinds: dict[Callable[..., dict[str, float]], list[str]] = {}
    for metric in metrics:
        name = metric.removeprefix("called ").partition("@")[0]
        function = {"recall": _recall, "precision": _precision, "mAP": _average}.get(name, _penalty)
        kinds.setdefault(function, []).append(metric)
    return [(asked, function) for function, asked in kinds.items()]


def _recall(hits: Hits, asked: Sequence[str]) -> dict[str, float]:
    answerable = (hits.sum(axis=1) > 0).astype("float32").sum()
    found = (paddle.cumsum(hits, axis=1) > 0).astype("float32")
    curve = (found.sum(axis=0) / answerable).numpy()
    return {metric: float(curve[int(metric.partition("@")[2]) - 1]) for metric in asked}


def _precision(hits: Hits, asked: Sequence[str]) -> dict[str, float]:
    ranks = paddle.arange(hits.shape[1]).astype("float32") + 1
    curve = (paddle.cumsum(hits, axis=1).mean(axis=0) / ranks).numpy()
    return {metric: float(curve[int(metric.partition("@")[2]) - 1]) for metric in asked}


def _average(hits: Hits, asked: Sequence[str]) -> dict[str, float]:
    rows = paddle.nonzero((hits.sum(axis=1) > 0).astype("int32")).reshape([-1])
    if rows.shape[0] == 0:
        return {"mAP": float("nan")}
    hits = paddle.index_select(hits, rows, axis=0)
    ranks = paddle.arange(hits.shape[1]).astype("float32") + 1
    precision = hits * (paddle.cumsum(hits, axis=1) / ranks)
    return {"mAP": float((precision.sum(axis=1) / hits.sum(axis=1)).mean())}


def _penalty(hits: Hits, asked: Sequence[str]) -> dict[str, float]:
    rows = paddle.nonzero((hits.sum(axis=1) > 0).astype("int32")).reshape([-1])
    hits = paddle.index_select(hits, rows, axis=0)
    # the last hit is where hits * (1 - 1 / (rank + 1)) is largest; its place is counted from 0
    ranks = paddle.arange(hits.shape[1]).astype("float32") + 2
    last = paddle.argmax(hits - hits / ranks, axis=1).astype("float32")
    return {"mINP": float((hits.sum(axis=1) / last).mean())}
