"""The words of a plan: topics, their cases, the systems that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["ours", "peer", "bare", "limit"]


@dataclass(frozen=True)
class Case:
    """One size of a topic.

    Attributes:
        name: In rows and tables.
        sizes: What the systems are given.
        goal: The key of the goals that it is held to; empty for none.
        curve: The name of the axis and the place on it, if it is a point of a scale curve.
    """

    name: str
    sizes: Mapping[str, Any]
    goal: str = ""
    curve: tuple[str, float] | None = None


@dataclass(frozen=True)
class System:
    """One way to do the work.

    Attributes:
        name: In rows and tables.
        place: ``module:function`` in ``systems``; the function takes the sizes of a case and
            where it runs, and returns ``Work``.
        environment: The interpreter, see ``conformance/environments.py``.
        role: ``ours``; ``peer``, a library as its users call it; ``bare``, what the libraries are
            made of, called plainly; ``limit``, the part of the work that nobody can leave out.
        package: Its version is told.
        cases: Names of the cases it does; all by default.
        gpu: Whether it can run on a GPU.
    """

    name: str
    place: str
    environment: str = "own"
    role: Role = "peer"
    package: str = "torch"
    cases: tuple[str, ...] | None = None
    gpu: bool = True


@dataclass(frozen=True)
class Topic:
    """What is compared.

    Attributes:
        name: In rows, and on the command line.
        title: For people.
        unit: Of the values: units a second, more is better; ``s`` alone is seconds, less is better.
        what: A paragraph for the report.
        cases: The sizes.
        quick: The sizes of a short run.
        systems: The systems, in the order in which they take their turns.
        prepare: ``module:function`` in ``systems`` that writes files for the cases into the folder
            it is given, before the rounds.
        least: Timed calls at least, whatever they take.
        warm: Never count a peer's first call, however long it takes; ours never counts.
        rounds: At most so many.
    """

    name: str
    title: str
    unit: str
    what: str
    cases: tuple[Case, ...]
    quick: tuple[Case, ...]
    systems: tuple[System, ...]
    prepare: str = ""
    least: int = 1
    warm: bool = False
    rounds: int = 99

    def case(self, name: str) -> Case:
        """Return a case, of either run."""
        return next(case for case in (*self.cases, *self.quick) if case.name == name)

    def system(self, name: str) -> System:
        """Return a system."""
        return next(system for system in self.systems if system.name == name)

    def does(self, system: System, cases: tuple[Case, ...]) -> list[Case]:
        """Return those of the cases that a system does."""
        return [case for case in cases if system.cases is None or case.name in system.cases]


@dataclass(frozen=True)
class Where:
    """Where the work is done.

    Attributes:
        device: ``cpu`` or ``cuda``.
        threads: Of the libraries.
        folder: With the files that the topic has prepared.
        seed: Of the inputs, the same for every system.
    """

    device: str = "cpu"
    threads: int = 1
    folder: str = ""
    seed: int = 0


@dataclass
class Outcome:
    """What a process found of one case, or why it found nothing.

    Attributes:
        value: Units a second, or seconds; None if it was not run.
        error: Why not.
        facts: What else is to be told, such as the value of a loss.
    """

    system: str = ""
    case: str = ""
    value: float | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    over_mb: float = 0.0
    others: float = 0.0
    calls: int = 0
    version: str = ""
    error: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
