"""Where in its run this process is, told as it goes, so that others can see whether it moves.

Telling is setting a number or two, so it costs the loop nothing; a thread reads it every few
seconds (:mod:`lookalike.training.watchdog`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
    """

    phase: str = "starting"
    iteration: int = 0
    meetings: int = 0
    moves: int = 0


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
    here.phase, here.meetings = phase, 0
    if iteration is not None:
        here.iteration = iteration
    here.moves += 1
    fault_point(f"place.{phase}")


def moved() -> None:
    """Tell that what has begun goes on."""
    here.moves += 1


def met() -> None:
    """Tell that the other processes are waited for."""
    here.meetings += 1
    here.moves += 1


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
