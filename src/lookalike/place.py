"""Where in its run this process is, told as it goes, so that others can see whether it moves.

Telling is setting a number or two and reading a clock, a microsecond of a step; a thread reads the
place every few seconds (:mod:`lookalike.training.watchdog`), and the seconds are compared at lines
of the log (:mod:`lookalike.training.doctor.stragglers`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from lookalike.faults import fault_point

T = TypeVar("T")

# in the order of an iteration
PHASES = ("starting", "waiting for data", "computing", "evaluating", "saving")


@dataclass
class Place:
    """A place in a run.

    Attributes:
        phase: One of ``PHASES``.
        iteration: Of training, from 0.
        meetings: Calls since then in which the processes met.
        moves: Grows with every step, call and batch, of training or evaluation.
        own: Seconds in each phase without those in which the others were waited for.
        waited: Seconds in each phase in which the others were waited for.
        since: When the phase began, or a later time by what was waited since.
    """

    phase: str = "starting"
    iteration: int = 0
    meetings: int = 0
    moves: int = 0
    own: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    waited: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    since: float = field(default_factory=time.perf_counter)


here = Place()
"""The place of this process."""


def at(phase: str, iteration: int | None = None) -> None:
    """Tell that something begins.

    Args:
        phase: One of ``PHASES``.
        iteration: None leaves it as it is.

    Example:
        >>> at("computing", 17)
        >>> here.phase, here.iteration
        ('computing', 17)
    """
    now = time.perf_counter()
    here.own[here.phase] += now - here.since
    here.phase, here.meetings, here.since = phase, 0, now
    if iteration is not None:
        here.iteration = iteration
    here.moves += 1
    fault_point(f"place.{phase}")


def moved() -> None:
    """Tell that what has begun goes on."""
    here.moves += 1


@contextmanager
def meeting() -> Iterator[None]:
    """Tell that the other processes are waited for, in a ``with`` block."""
    here.meetings += 1
    here.moves += 1
    entered = time.perf_counter()
    try:
        yield
    finally:
        waited_since(entered)


def waited_since(entered: float) -> None:
    """Tell that the other processes were waited for.

    Args:
        entered: What ``time.perf_counter()`` said before.
    """
    seconds = time.perf_counter() - entered
    here.waited[here.phase] += seconds
    here.since += seconds


def telling(batches: Iterator[T], first: int) -> Iterator[T]:
    """Yield the batches of training, and tell which is waited for, and which computed.

    Args:
        batches: A stream without an end.
        first: The iteration of the first one.

    Example:
        >>> list(telling(iter("ab"), first=3)), here.iteration
        (['a', 'b'], 5)
    """
    batches = iter(batches)
    for iteration in count(first):
        at("waiting for data", iteration)
        try:
            batch = next(batches)
        except StopIteration:
            return
        at("computing", iteration)
        yield batch
