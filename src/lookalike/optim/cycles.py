"""Schedules that rise as well as fall."""

from __future__ import annotations

import math
from typing import Literal, Unpack

from lookalike.optim.schedules import Schedule, Timing


def cosine_fixmatch(
    lr: float,
    *,
    num_warmup_steps: int = 0,
    num_cycles: float = 7 / 16,
    **timing: Unpack[Timing],
) -> Schedule:
    """Fall along a part of a cosine after a warm-up counted in steps.

    Source: Sohn et al., "FixMatch", NeurIPS 2020, section 2.4. https://arxiv.org/abs/2001.07685

    Args:
        lr: The learning rate to start from.
        num_warmup_steps: Steps of the linear rise.
        num_cycles: Half periods of the cosine until the end of the run.
        **timing: See :class:`Timing`.
    """
    total = timing.get("epochs", 1) * max(1, timing.get("steps_per_epoch", 1))

    def curve(time: int) -> float:
        if time < num_warmup_steps:
            return lr * time / num_warmup_steps
        progress = (time - num_warmup_steps) / max(1, total - num_warmup_steps)
        return lr * max(0.0, math.cos(math.pi * num_cycles * progress))

    return Schedule(curve, lr, **timing)


def cyclic(
    base_lr: float,
    max_lr: float,
    step_size_up: int,
    *,
    step_size_down: int | None = None,
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
    exp_gamma: float = 1.0,
    **timing: Unpack[Timing],
) -> Schedule:
    """Rise and fall between two rates.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.
    https://arxiv.org/abs/1506.01186

    A warm-up rises to the lower rate, where the first cycle begins.

    Args:
        base_lr: The lower rate.
        max_lr: The upper rate.
        step_size_up: Steps of a rise.
        step_size_down: Steps of a fall; as many by default.
        mode: ``triangular``; ``triangular2`` halves the height each cycle; ``exp_range`` shrinks
            it by ``exp_gamma`` each step.
        exp_gamma: See ``mode``.
        **timing: See :class:`Timing`.
    """
    down = step_size_down or step_size_up
    period = step_size_up + down

    def curve(time: int) -> float:
        cycle, place = divmod(time, period)
        height = place / step_size_up if place <= step_size_up else (period - place) / down
        shrink = {"triangular": 1.0, "triangular2": 0.5**cycle, "exp_range": exp_gamma**time}
        return base_lr + (max_lr - base_lr) * height * shrink[mode]

    return Schedule(curve, base_lr, **timing)


def one_cycle(
    max_lr: float,
    *,
    divide_factor: float = 25.0,
    end_lr: float = 1e-10,
    phase_pct: float = 0.3,
    anneal_strategy: Literal["cos", "linear"] = "cos",
    three_phase: bool = False,
    **timing: Unpack[Timing],
) -> Schedule:
    """Rise once to ``max_lr`` and fall to ``end_lr`` at the end of the run.

    Source: Smith and Topin, "Super-Convergence", 2018. https://arxiv.org/abs/1708.07120

    Args:
        max_lr: The highest rate.
        divide_factor: It starts from ``max_lr / divide_factor``.
        end_lr: The last rate.
        phase_pct: Share of the run that rises.
        anneal_strategy: Along a cosine or a straight line.
        three_phase: Fall to where it started first, in as many steps as it rose, then to
            ``end_lr``.
        **timing: See :class:`Timing`.

    Raises:
        ValueError: If there is no time left for the third phase.

    Example:
        >>> schedule = one_cycle(1.0, phase_pct=0.5, anneal_strategy="linear", epochs=8)
        >>> [round(schedule(step), 2) for step in range(8)]
        [0.04, 0.36, 0.68, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    if three_phase and phase_pct >= 0.5:
        raise ValueError(f"three_phase needs a phase_pct below 0.5, got {phase_pct}.")
    total = timing.get("epochs", 1) * max(1, timing.get("steps_per_epoch", 1))
    rise, first = phase_pct * total - 1, max_lr / divide_factor
    places, rates = [0.0, rise, total - 1.0], [first, max_lr, end_lr]
    if three_phase:
        places, rates = [0.0, rise, 2 * rise, total - 1.0], [first, max_lr, first, end_lr]

    def between(start: float, stop: float, share: float) -> float:
        if anneal_strategy == "linear":
            return start + (stop - start) * share
        return stop + (start - stop) * (1.0 + math.cos(math.pi * share)) / 2.0

    def curve(time: int) -> float:
        phase = next((n for n, end in enumerate(places[1:]) if time <= end), len(places) - 2)
        start, stop = places[phase], places[phase + 1]
        share = min(1.0, (time - start) / (stop - start)) if stop != start else 1.0
        return between(rates[phase], rates[phase + 1], share)

    return Schedule(curve, max_lr, **timing)
