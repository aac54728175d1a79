"""Which process keeps the others waiting, from what each of them tells of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lookalike.place import PHASES

_NAMED = 4


@dataclass(frozen=True)
class Report:
    """What a process tells of itself.

    Attributes:
        rank: Which process.
        host: Of what machine.
        pid: Its number there.
        parent: The number of what started it.
        beat: Grows with every report.
        phase: Where it is; see :class:`lookalike.place.Place`.
        iteration: Of training.
        meetings: Calls since then in which the processes met.
        still: Seconds since it moved.
        line: What its main thread is at.
    """

    rank: int
    host: str
    pid: int
    parent: int
    beat: int
    phase: str
    iteration: int
    meetings: int
    still: float
    line: str

    @property
    def name(self) -> str:
        return f"process {self.rank} on host {self.host}"

    @property
    def place(self) -> str:
        """The place in words."""
        if self.phase == "starting":
            return "starting"
        link = "of" if self.phase.endswith("data") else "in"
        return f"{self.phase} {link} iteration {self.iteration}"

    @property
    def order(self) -> tuple[int, int, int]:
        """Grows along the run."""
        return self.iteration, PHASES.index(self.phase), self.meetings


Reports = Sequence[Report | None]


def frozen(first: Reports, second: Reports) -> list[int]:
    """Return the ranks that told nothing new between two readings, some seconds apart."""
    return [
        rank
        for rank, (one, other) in enumerate(zip(first, second, strict=True))
        if other is None or (one is not None and one.beat == other.beat)
    ]


def verdict(first: Reports, second: Reports, patience: float) -> str | None:
    """Say who keeps the others waiting; None while somebody moves.

    Args:
        first: What each process told, by rank; None for one that told nothing yet.
        second: The same some seconds later.
        patience: Seconds without a move that are too long.

    Example:
        >>> about = {"host": "a", "pid": 1, "parent": 0, "line": ""}
        >>> one = Report(rank=0, beat=1, phase="computing", iteration=17, meetings=0,
        ...              still=62.0, **about)
        >>> other = Report(rank=1, beat=1, phase="waiting for data", iteration=17, meetings=0,
        ...                still=62.0, **about)
        >>> later = [Report(**{**vars(x), "beat": 2}) for x in (one, other)]
        >>> print(verdict([one, other], later, 60.0))
        process 1 on host a is still waiting for data of iteration 17 since 62 s; the others wait \
for it, computing in iteration 17
    """
    silent = frozen(first, second)
    if silent:
        return _listed([_silence(rank, second[rank]) for rank in silent])
    reports = [one for one in second if one is not None]
    if any(one.still < patience for one in reports):
        return None
    ahead = max(reports, key=lambda one: one.order)
    behind = [one for one in reports if one.order < ahead.order]
    if behind:
        texts = [f"{one.name} is still {one.place} since {one.still:.0f} s" for one in behind]
        return f"{_listed(texts)}; the others wait for it, {ahead.place}"
    texts = [f"process {one.rank} at {one.line}" for one in reports]
    return (
        f"all {len(reports)} processes are {ahead.place} since {ahead.still:.0f} s and none is "
        f"behind: {_listed(texts)}"
    )


def _silence(rank: int, last: Report | None) -> str:
    if last is None:
        return f"process {rank} has never been heard of"
    return (
        f"{last.name} does not answer any more (stopped, dead or cut off); it was last {last.place}"
    )


def _listed(texts: Sequence[str]) -> str:
    more = f"; and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return "; ".join(texts[:_NAMED]) + more
