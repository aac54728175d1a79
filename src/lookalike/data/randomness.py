"""Random streams that depend on what is drawn, not on which worker draws it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def mix(*numbers: int) -> int:
    """Hash whole numbers to 63 bits (SplitMix64 steps); near inputs give unrelated outputs.

    Example:
        >>> mix(0, 1) != mix(1, 0), mix(7, 7) == mix(7, 7)
        (True, True)
    """
    return _state(numbers) >> 1


def mix_each(*numbers: int, count: int) -> list[int]:
    """Return ``mix(*numbers, i)`` for i below ``count``, all at once.

    Example:
        >>> mix_each(3, 5, count=2) == [mix(3, 5, 0), mix(3, 5, 1)]
        True
    """
    state = np.arange(count, dtype=np.uint64)
    state += np.uint64((_state(numbers) + _GOLDEN) & _MASK)
    for shift, factor in _ROUNDS:
        state ^= state >> np.uint64(shift)
        state *= np.uint64(factor)
    state ^= state >> np.uint64(31)
    mixed: list[int] = (state >> np.uint64(1)).tolist()
    return mixed


def _state(numbers: Sequence[int]) -> int:
    state = _GOLDEN
    for number in numbers:
        state = (state + (number & _MASK) + _GOLDEN) & _MASK
        for shift, factor in _ROUNDS:
            state = ((state ^ (state >> shift)) * factor) & _MASK
        state ^= state >> 31
    return state


@contextmanager
def streams_kept() -> Iterator[None]:
    """Give back Python's, numpy's and torch's global generators as they were.

    Costs more than seeding them: whoever seeds often keeps them once around it all.
    """
    before = random.getstate(), np.random.get_state(), torch.random.get_rng_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        torch.random.set_rng_state(before[2])


def reseed(seed: int) -> None:
    """Give the three global generators a seed."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)  # noqa: NPY002
    torch.default_generator.manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Give the three global generators a seed; restore them afterwards.

    Transforms of any library draw from one of the three, so a sample's augmentation depends on
    ``seed`` alone: not on the worker, the number of workers, or what was drawn before.
    """
    with streams_kept():
        reseed(seed)
        yield
