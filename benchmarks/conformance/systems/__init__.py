"""Thin adapters, one file per system; a system is imported only in its own environment."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol

from benchmarks.conformance.problem import Problem


class System(Protocol):
    """What a file in here is, as a module.

    Each is asked with the options that come nearest to the definition of the case; what it gets are
    vectors of length one.
    """

    NAME: str
    VERSION: str

    def offers(self, metric: str) -> bool:
        """Tell whether it has the metric."""
        ...

    def score(self, problem: Problem, metrics: Sequence[str]) -> dict[str, float]:
        """Return the metrics it offers; raise ``NotOffered`` for a rule it does not have."""
        ...


FILES = {
    "lookalike": "own",
    "paddleclas_procedure": "paddle",
    "pytorch_metric_learning": "peers",
    "open_metric_learning": "peers",
    "fast_reid": "peers",
    "torchmetrics": "peers",
    "scikit_learn": "peers",
}
"""System to the environment it runs in."""


def load(system: str) -> System:
    """Import the adapter of a system."""
    return import_module(f"benchmarks.conformance.systems.{system}_adapter")  # type: ignore[return-value]
