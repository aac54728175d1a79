"""Learning rates as functions of the step.

Every schedule is made by a function that takes its own shape and a :class:`Timing`; the result,
a :class:`Schedule`, is asked ``schedule(step)`` before each optimiser step, from 0.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, TypedDict, Unpack


class Timing(TypedDict, total=False):
    """When things happen; common to all schedules.

    Attributes:
        epochs: Length of the run.
        steps_per_epoch: Optimiser steps in an epoch.
        warmup_epochs: Rise linearly for so long; the shape's own clock starts afterwards.
        warmup_start: Learning rate at step 0 of the warm-up.
        by_epoch: Change once per epoch; epochs are then the unit of everything.
        last_epoch: -1 starts the clock at 0, 0 at 1, and so on.
    """

    epochs: int
    steps_per_epoch: int
    warmup_epochs: float
    warmup_start: float
    by_epoch: bool
    last_epoch: int


class Schedule:
    """The learning rate of each step.

    Args:
        curve: Time since the end of the warm-up to learning rate.
        peak: Learning rate at the end of the warm-up.
        **timing: See :class:`Timing`.
    """

    def __init__(
        self, curve: Callable[[int], float], peak: float, **timing: Unpack[Timing]
    ) -> None:
        self.curve, self.peak = curve, peak
        self.steps_per_epoch = max(1, timing.get("steps_per_epoch", 1))
        self.by_epoch = timing.get("by_epoch", False)
        self.warmup_start = timing.get("warmup_start", 0.0)
        self.warmup = warmup_length(**timing)
        self.offset = timing.get("last_epoch", -1) + 1

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        time = step // self.steps_per_epoch if self.by_epoch else step
        time += self.offset
        if time < self.warmup:
            rise = (self.peak - self.warmup_start) * time / self.warmup
            return self.warmup_start + rise
        return self.curve(time - self.warmup)

    def report(self, metric: float) -> None:
        """Take in the metric of an evaluation; only :class:`Plateau` listens."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs: nothing, for a function of the step."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""


def warmup_length(**timing: Unpack[Timing]) -> int:
    """Return the warm-up in the schedule's unit; never longer than the run."""
    warmup = min(timing.get("warmup_epochs", 0), timing.get("epochs", math.inf))
    if timing.get("by_epoch", False):
        return int(warmup)
    return round(warmup * max(1, timing.get("steps_per_epoch", 1)))


def length_after_warmup(**timing: Unpack[Timing]) -> float:
    """Return the time that is left for the shape, in the schedule's unit; at least one."""
    epochs = timing.get("epochs", 1)
    left = epochs - min(timing.get("warmup_epochs", 0), epochs)
    per_epoch = 1 if timing.get("by_epoch", False) else max(1, timing.get("steps_per_epoch", 1))
    return max(left * per_epoch, 1)


def in_units(places: Sequence[float], **timing: Unpack[Timing]) -> list[float]:
    """Turn epoch numbers into the schedule's unit."""
    per_epoch = 1 if timing.get("by_epoch", False) else max(1, timing.get("steps_per_epoch", 1))
    return [epoch * per_epoch for epoch in places]


def constant(lr: float, **timing: Unpack[Timing]) -> Schedule:
    """Keep the learning rate.

    Args:
        lr: The learning rate.
        **timing: See :class:`Timing`.

    Example:
        >>> constant(0.1)(1000)
        0.1
    """
    return Schedule(lambda time: lr, lr, **timing)


def cosine(lr: float, *, eta_min: float = 0.0, **timing: Unpack[Timing]) -> Schedule:
    """Fall along half a cosine to ``eta_min`` at the end of the run.

    Source: Loshchilov and Hutter, "SGDR", ICLR 2017, eq. 5. https://arxiv.org/abs/1608.03983

    Args:
        lr: The learning rate to start from.
        eta_min: The learning rate to end with.
        **timing: See :class:`Timing`.

    Example:
        >>> [round(cosine(1.0, epochs=4)(step), 3) for step in range(4)]
        [1.0, 0.854, 0.5, 0.146]
    """
    length = length_after_warmup(**timing)
    return Schedule(
        lambda time: eta_min + (lr - eta_min) * (1.0 + math.cos(math.pi * time / length)) / 2.0,
        lr,
        **timing,
    )


def multi_step(
    lr: float, milestones: Sequence[float], gamma: float = 0.1, **timing: Unpack[Timing]
) -> Schedule:
    """Multiply by ``gamma`` at each milestone.

    Args:
        lr: The learning rate to start from.
        milestones: Epochs, counted from the end of the warm-up.
        gamma: Factor at each of them.
        **timing: See :class:`Timing`.

    Example:
        >>> schedule = multi_step(1.0, [1, 3], 0.5, epochs=4, steps_per_epoch=2)
        >>> [schedule(step) for step in range(8)]
        [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]
    """
    places = sorted(in_units(milestones, **timing))
    return Schedule(lambda time: lr * gamma ** bisect_right(places, time), lr, **timing)


def step(lr: float, step_size: float, gamma: float = 0.1, **timing: Unpack[Timing]) -> Schedule:
    """Multiply by ``gamma`` after every ``step_size`` epochs.

    Args:
        lr: The learning rate to start from.
        step_size: Epochs between the falls, counted from the end of the warm-up; in steps it is
            rounded down.
        gamma: Factor at each of them.
        **timing: See :class:`Timing`.

    Raises:
        ValueError: If that is no step.

    Example:
        >>> schedule = step(1.0, 2, 0.5, epochs=4)
        >>> [schedule(number) for number in range(4)]
        [1.0, 1.0, 0.5, 0.5]
    """
    (length,) = in_units([step_size], **timing)
    length = length if timing.get("by_epoch", False) else int(length)
    if length <= 0:
        raise ValueError(f"step_size must be at least one step, got {step_size} epochs.")
    return Schedule(lambda time: lr * gamma ** (time // length), lr, **timing)


def piecewise(
    decay_epochs: Sequence[float] = (),
    values: Sequence[float] = (),
    *,
    lr: float | None = None,
    honour_values: bool = False,
    **timing: Unpack[Timing],
) -> Schedule:
    """Take the values one after the other, changing at the given epochs.

    As in the reference, giving ``lr`` too makes it ignore the epochs and values: the rate then
    falls to a tenth every 30 epochs. ``honour_values`` takes them all the same.

    Args:
        decay_epochs: Where the next value begins, counted from the end of the warm-up.
        values: One more than the epochs.
        lr: See above.
        honour_values: Take epochs and values though ``lr`` is given.
        **timing: See :class:`Timing`.

    Raises:
        ValueError: If the numbers of epochs and values do not fit.

    Example:
        >>> schedule = piecewise([1, 2], [0.3, 0.2, 0.1], epochs=3)
        >>> [schedule(number) for number in range(3)]
        [0.3, 0.2, 0.1]
    """
    if lr and not honour_values:
        decay_epochs = range(30, timing.get("epochs", 1), 30)
        values = [lr / 10**power for power in range(len(decay_epochs) + 1)]
    if len(values) != len(decay_epochs) + 1:
        raise ValueError(
            f"values must be one more than decay_epochs, got {len(values)} and {len(decay_epochs)}."
        )
    places = in_units(decay_epochs, **timing)
    return Schedule(lambda time: values[bisect_right(places, time)], values[0], **timing)


def linear(
    lr: float,
    *,
    end_lr: float = 0.0,
    power: float = 1.0,
    cycle: bool = False,
    **timing: Unpack[Timing],
) -> Schedule:
    """Fall along a polynomial to ``end_lr`` at the end of the run; a straight line by default.

    Args:
        lr: The learning rate to start from.
        end_lr: The learning rate to end with.
        power: Of the polynomial.
        cycle: Stretch the fall over as many runs' lengths as have begun, instead of staying.
        **timing: See :class:`Timing`.

    Example:
        >>> [linear(1.0, epochs=4)(number) for number in range(4)]
        [1.0, 0.75, 0.5, 0.25]
    """
    length = length_after_warmup(**timing)

    def curve(time: int) -> float:
        whole = length * max(1, math.ceil(time / length)) if cycle else length
        left = 1.0 - min(time, whole) / whole
        return float((lr - end_lr) * left**power + end_lr)

    return Schedule(curve, lr, **timing)
