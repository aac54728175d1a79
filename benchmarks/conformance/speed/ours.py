"""Lookalike's side of the timing, and the bare matrix product beside it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.conformance.problem import Problem
from lookalike.retrieval import (
    MeanAveragePrecision,
    MeanInverseNegativePenalty,
    RecallAtK,
    RelevantRanks,
    rank_relevant,
)
from lookalike.retrieval.metric import mean
from lookalike.retrieval.rows import Table

NAME, VERSION, TORCH = "Lookalike", version("lookalike"), version("torch")
_METRICS = (RecallAtK([1, 5]), MeanAveragePrecision(), MeanInverseNegativePenalty())
Array = np.ndarray[Any, np.dtype[Any]]


def ranks(problem: Problem) -> RelevantRanks:
    """Rank the gallery for all queries."""
    tables = (problem.query, problem.gallery, problem.query_labels, problem.gallery_labels)
    return rank_relevant(*(torch.from_numpy(table) for table in tables))


def values(found: RelevantRanks, queries: int | None = None) -> dict[str, float]:
    """Return the metrics, of the first queries alone if asked."""
    some = found if queries is None else found.of(torch.arange(queries))
    named = {name: v for metric in _METRICS for name, v in metric.per_query(some).items()}
    return {name.replace("recall", "recall@"): mean(value) for name, value in named.items()}


def scored(problem: Problem) -> RelevantRanks:
    """Rank and score: what is timed."""
    found = ranks(problem)
    values(found)
    return found


def product(problem: Problem, shape: tuple[int, int]) -> None:
    """Multiply, tile by tile, into one buffer."""
    query, gallery = torch.from_numpy(problem.query), torch.from_numpy(problem.gallery)
    buffer = torch.empty(shape)
    for rows in query.split(shape[0]):
        for items in gallery.split(shape[1]):
            torch.mm(rows, items.T, out=buffer[: len(rows), : len(items)])


def mapped(query: Array, gallery: Array, query_labels: Array, labels: Array) -> dict[str, float]:
    """Rank a mapped gallery and score."""
    found = rank_relevant(
        torch.from_numpy(query),
        Table(gallery, "gallery"),
        torch.from_numpy(query_labels),
        torch.from_numpy(labels),
    )
    return values(found)


def mapped_product(query: Array, gallery: Array) -> None:
    """Multiply the queries with a mapped gallery, piece by piece."""
    queries, buffer = torch.from_numpy(query), torch.empty(len(query), 4096)
    for start in range(0, len(gallery), 4096):
        piece = torch.from_numpy(np.array(gallery[start : start + 4096]))
        torch.mm(queries, piece.T, out=buffer[:, : len(piece)])


@dataclass
class Memory:
    """Megabytes that are not pages of a mapped file."""

    peak: float = 0.0


@contextmanager
def private_memory() -> Iterator[Memory]:
    """Watch the private memory of this process."""
    memory, stop = Memory(), threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("RssAnon"):
                    memory.peak = max(memory.peak, int(line.split()[1]) / 1024)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield memory
    finally:
        stop.set()
        thread.join()
