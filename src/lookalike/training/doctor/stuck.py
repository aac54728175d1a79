"""A loss that stays where it is when nothing is told apart."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lookalike.losses import CrossEntropy
from lookalike.training.doctor.look import Finding, Look

LOOKS = 20
NEAR = 0.02
PROGRESS = 0.002


class Stuck:
    """A term within 2 % of its value for embeddings all alike, for 20 looks, without progress.

    For losses with a margin that value is computed, of the batch's labels and equal embeddings;
    for the cross-entropy it is the logarithm of the number of classes. Progress is a mean of the
    last ten looks that is 0.2 % of the value below that of the ten before. While the learning rate
    rises nothing counts.

    Args:
        name: Of the term.
        loss: Its loss.
        weight: Of the term in the sum.
        num_classes: Of the head.
    """

    def __init__(
        self, name: str, loss: nn.Module, weight: float, num_classes: int | None = None
    ) -> None:
        self.name, self.loss, self.weight = name, loss, weight
        self.num_classes = num_classes
        self.value: float | None = None
        self.seen: list[float] = []
        self.rates: list[float] = []

    def __call__(self, look: Look) -> Finding | None:
        if self.value is None:
            self.value = self._value(look)
        term, rates = look.terms.get(self.name), list(look.rates)
        rising, self.rates = rates > self.rates, rates
        if not self.value or term is None or rising or not any(rates):
            self.seen.clear()
            return None
        self.seen = [*self.seen[1 - LOOKS :], term]
        far = max(abs(value - self.value) for value in self.seen)
        if far > NEAR * abs(self.value) or len(self.seen) < LOOKS:
            return None
        half = LOOKS // 2
        progress = (sum(self.seen[:half]) - sum(self.seen[half:])) / half
        return None if progress > PROGRESS * abs(self.value) else self._finding()

    def _value(self, look: Look) -> float | None:
        if isinstance(self.loss, CrossEntropy):
            return self.weight * math.log(self.num_classes) if self.num_classes else None
        if not has_margin(self.loss) or look.labels is None or "" not in look.embeddings:
            return None
        alike = torch.ones_like(look.embeddings[""])
        reads = getattr(self.loss, "reads", ("features",))
        with torch.no_grad():
            value: Tensor = self.loss(dict.fromkeys(reads, alike), look.labels)
        return self.weight * float(value)

    def _finding(self) -> Finding:
        assert self.value is not None
        mean = sum(self.seen) / len(self.seen)
        evidence = (
            f"{self.name} {mean:.4f} for {LOOKS} looks; nothing told apart is {self.value:.4f}"
        )
        if isinstance(self.loss, CrossEntropy):
            return Finding(
                f"{self.name} is stuck at chance, the logarithm of {self.num_classes} classes",
                evidence,
                "check that labels belong to their images (lookalike check --data); raise the "
                "learning rate if it is tiny, lower it if the loss once was lower",
            )
        return Finding(
            f"{self.name} is stuck at its margin",
            evidence,
            "lower the learning rate; start from pretrained weights or add CELoss beside it; take "
            "a loss that uses all pairs before one of the hardest",
        )


def has_margin(loss: nn.Module) -> bool:
    """Tell whether a loss has a margin, and nothing that another call would change."""
    has_state = next(loss.parameters(), None) is not None or next(loss.buffers(), None) is not None
    return hasattr(loss, "margin") and not has_state and not list(loss.children())


def losses_of(loss: nn.Module) -> Mapping[str, tuple[nn.Module, float]]:
    """Return the losses of a weighted sum with their weights, by name."""
    weights = getattr(loss, "weights", {})
    named = getattr(loss, "losses", {})
    return {name: (named[name], weights[name]) for name in named if name in weights}
