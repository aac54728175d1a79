"""A learning rate that falls when the metric stops improving."""

from __future__ import annotations

from typing import Any, Literal, Unpack

from lookalike.optim.schedules import Schedule, Timing


class Plateau(Schedule):
    """Multiply by ``factor`` when the evaluated metric has not improved for a while.

    The metric is the first one of the evaluation; it is reported after each of them. Note that
    ``mode`` is ``min`` by default, as in the reference, while retrieval metrics want ``max``.

    Args:
        lr: The learning rate to start from.
        mode: Whether the metric should fall (``min``) or rise (``max``).
        factor: At each fall of the rate.
        patience: Evaluations without improvement that are tolerated.
        threshold: Smallest change that counts as improvement.
        threshold_mode: ``rel`` measures it against the best metric, ``abs`` does not.
        cooldown: Evaluations after a fall during which nothing is counted.
        min_lr: Lower bound.
        epsilon: A smaller fall than this is left out.
        **timing: Accepted for uniformity; the rate changes after evaluations only.

    Example:
        >>> schedule = Plateau(1.0, mode="max", factor=0.5, patience=0)
        >>> for metric in (0.5, 0.4): schedule.report(metric)
        >>> schedule(0)
        0.5
    """

    def __init__(
        self,
        lr: float,
        *,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        epsilon: float = 1e-8,
        **timing: Unpack[Timing],
    ) -> None:
        super().__init__(lambda time: self.rate, lr, **timing)
        if not 0.0 < factor < 1.0:
            raise ValueError(f"factor must be between 0 and 1, got {factor}.")
        self.rate = lr
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.min_lr, self.epsilon = cooldown, min_lr, epsilon
        self.best: float | None = None
        self.num_bad = self.cooling = 0

    def __call__(self, step: int) -> float:
        """Return the rate that holds until the next report."""
        return self.rate

    def report(self, metric: float) -> None:
        """Take in the metric of an evaluation."""
        if self.cooling > 0:
            self.cooling -= 1
            return
        if self.best is None or self._improves(metric, self.best):
            self.best, self.num_bad = metric, 0
        else:
            self.num_bad += 1
        if self.num_bad > self.patience:
            self.cooling, self.num_bad = self.cooldown, 0
            lower = max(self.rate * self.factor, self.min_lr)
            if self.rate - lower > self.epsilon:
                self.rate = lower

    def _improves(self, metric: float, best: float) -> bool:
        margin = best * self.threshold if self.threshold_mode == "rel" else self.threshold
        return metric < best - margin if self.mode == "min" else metric > best + margin

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {
            "rate": self.rate,
            "best": self.best,
            "num_bad": self.num_bad,
            "cooling": self.cooling,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.rate, self.best = state["rate"], state["best"]
        self.num_bad, self.cooling = state["num_bad"], state["cooling"]
