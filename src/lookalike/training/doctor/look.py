"""What the doctor sees of a run at a line of its log, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from lookalike.types import Batch


@dataclass(frozen=True)
class Look:
    """One batch of a run.

    Attributes:
        step: Number of the batch, from 0.
        total: Batches of the whole run.
        rates: Learning rate of each optimiser.
        terms: Of the loss on this batch, weighted.
        embeddings: ``[B, D]`` of each model by its name; a single one's is empty.
        labels: ``[B]`` int64, or None where images are mixed.
    """

    step: int
    total: int
    rates: Sequence[float] = ()
    terms: Mapping[str, float] = field(default_factory=dict)
    embeddings: Mapping[str, Tensor] = field(default_factory=dict)
    labels: Tensor | None = None


@dataclass(frozen=True)
class Finding:
    """An illness: what it is, what shows it, and what to do."""

    what: str
    evidence: str
    remedy: str


Symptom = Callable[[Look], Finding | None]
"""Looks at batch after batch and keeps what it needs to remember."""


def look_at(
    output: Any,
    batch: Batch,
    terms: Mapping[str, Tensor],
    rates: Sequence[float],
    place: tuple[int, int],
) -> Look:
    """Gather what a step has computed; ``place`` is its number and the number of all steps."""
    found = {name: float(term.detach()) for name, term in terms.items()}
    labels = batch.labels if batch.labels.ndim == 1 else None
    return Look(*place, rates, found, _embeddings(output), labels)


def _embeddings(output: Any, name: str = "") -> dict[str, Tensor]:
    if not isinstance(output, Mapping):
        return {}
    features = output.get("features")
    if isinstance(features, Tensor):
        return {name: features.detach().flatten(1).float()}
    found: dict[str, Tensor] = {}
    for model, own in output.items():
        found |= _embeddings(own, str(model))
    return found
