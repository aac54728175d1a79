"""Processes that regularly keep the others waiting: which, by how much, and with what."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lookalike import processes
from lookalike.place import here
from lookalike.training.doctor.look import Finding

STEPS = 20
WINDOWS = 3
_SHARE = 0.2
_LEAST = 0.01
_NAMED = 4
_DATA, _COMPUTING = "waiting for data", "computing"
_REMEDIES = {
    _DATA: "raise DataLoader.Train.loader.num_workers, and look on that host at the disk with the "
    "images and at other jobs; packed images (lookalike pack) are read in long stretches",
    _COMPUTING: "look on that host for other jobs, a processor that is throttled or of another "
    "kind, and threads (OMP_NUM_THREADS); a host that stays slow is better left out",
}


@dataclass(frozen=True)
class Pace:
    """What a step takes a process, on average over some steps.

    Attributes:
        data: Seconds it waits for its data.
        computing: Seconds it computes.
        others: Seconds it waits for other processes while training.
    """

    data: float
    computing: float
    others: float

    @property
    def own(self) -> float:
        """Return the seconds in which the others may have to wait for it."""
        return self.data + self.computing

    @property
    def step(self) -> float:
        """Return the seconds of the whole step."""
        return self.own + self.others

    def spent(self, on: str) -> float:
        """Return the seconds spent waiting for data, or computing."""
        return self.data if on == _DATA else self.computing


def late(paces: Sequence[Pace]) -> list[int]:
    """Return the ranks that keep the others waiting, the slowest first.

    They need more time of their own than is usual by a fifth of the step, and by 10 ms. What is
    usual is the time of the middle process, of two the faster: so at most half of them are late,
    and where all are equally slow none is.

    Args:
        paces: By rank.

    Example:
        >>> late([Pace(0.05, 0.40, 0.37), Pace(0.42, 0.40, 0.0), Pace(0.05, 0.41, 0.36)])
        [1]
    """
    usual = sorted(one.own for one in paces)[(len(paces) - 1) // 2]
    least = max(_SHARE * max(one.step for one in paces), _LEAST)
    found = [rank for rank, one in enumerate(paces) if one.own - usual > least]
    return sorted(found, key=lambda rank: -paces[rank].own)


class Stragglers:
    """Names processes that keep the others waiting in three windows of 20 steps in a row.

    All processes take equally long for a step, since they wait for each other in it; so what is
    compared is a process's own time, in which it waits for nobody. It leaves out evaluations,
    saves and the first steps. One long wait makes one window late and names nobody. Each process is
    named once.

    Args:
        steps: Of a window, at least; it ends at a line of the log.
        windows: In which a process must be late, one after the other.
    """

    def __init__(self, *, steps: int = STEPS, windows: int = WINDOWS) -> None:
        self.steps, self.windows = steps, windows
        self.looks, self.begun, self.before = 0, 0, torch.zeros(3, dtype=torch.float64)
        self.hosts: list[str] = []
        self.streaks: dict[int, int] = {}
        self.named: set[int] = set()

    def look(self) -> Finding | None:
        """Compare with the other processes; every process must call it at the same steps."""
        if processes.count() == 1:
            return None
        self.looks += 1
        now = _seconds()
        # what is loaded and compiled in the first steps says nothing of the others
        if self.looks == 2:
            self.hosts = processes.each(socket.gethostname())
        if self.looks <= 2:
            self.begun, self.before = here.iteration, now
        steps = here.iteration - self.begun
        if steps < self.steps:
            return None
        means = processes.gathered(((now - self.before) / steps)[None])
        self.begun, self.before = here.iteration, now
        return self.find([Pace(*one) for one in means.tolist()])

    def find(self, paces: Sequence[Pace]) -> Finding | None:
        """Take in a window, by rank; return whom to name."""
        ranks = late(paces)
        self.streaks = {rank: self.streaks.get(rank, 0) + 1 for rank in ranks}
        new = [r for r in ranks if self.streaks[r] >= self.windows and r not in self.named]
        if not new:
            return None
        usual = {on: _usual(paces, on) for on in _REMEDIES}

        def lag(rank: int, on: str) -> float:
            return paces[rank].spent(on) - usual[on]

        slow_at = {rank: max(usual, key=lambda on: lag(rank, on)) for rank in new}
        on = slow_at[new[0]]
        # those that are slow at something else are named next time
        told = [rank for rank in new if slow_at[rank] == on]
        self.named |= set(told)
        return self._finding(told, on, paces, usual[on])

    def _finding(
        self, ranks: Sequence[int], on: str, paces: Sequence[Pace], usual: float
    ) -> Finding:
        names = [f"process {rank} on host {self.hosts[rank]}" for rank in ranks[:_NAMED]]
        more = f" and {len(ranks) - _NAMED} more" if len(ranks) > _NAMED else ""
        first = paces[ranks[0]]
        others = max(one.others for one in paces)
        return Finding(
            f"{', '.join(names)}{more} keep{'s' if len(ranks) == 1 else ''} the others waiting",
            f"{on} takes {first.spent(on):.3f} s of a step, {usual:.3f} s in the others, which "
            f"wait up to {others:.3f} s in a step of {first.step:.3f} s",
            _REMEDIES[on],
        )


def _usual(paces: Sequence[Pace], on: str) -> float:
    return sorted(one.spent(on) for one in paces)[(len(paces) - 1) // 2]


def _seconds() -> torch.Tensor:
    """Return the seconds since the start that this process has trained, by what it did."""
    waited = here.waited[_DATA] + here.waited[_COMPUTING]
    return torch.tensor([here.own[_DATA], here.own[_COMPUTING], waited], dtype=torch.float64)
