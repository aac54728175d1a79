"""Processes in turns: every system of a topic once in each round."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.conformance.environments import run_module, wait_until_quiet
from benchmarks.speed.plan import Case, Outcome, System, Topic

WORKER = "benchmarks.speed.worker"
Round = list[Outcome]


@dataclass(frozen=True)
class Settings:
    """How to run.

    Attributes:
        interpreters: Of each environment; None for one that is not there.
        rounds: How often each system has its turn.
        seconds: How long a case is repeated in a process.
        least: Timed calls at least, of the topics that want more than one.
        threads: Of every library.
        device: ``cpu`` or ``cuda``.
        timeout: Seconds after which a process is ended.
        quiet: Seconds to wait at most for an idle machine, before each process.
        seed: Of the inputs.
    """

    interpreters: Mapping[str, str | None]
    rounds: int = 3
    seconds: float = 2.0
    least: int = 2
    threads: int = 1
    device: str = "cpu"
    timeout: float = 900.0
    quiet: float = 0.0
    seed: int = 0


def run_topic(
    topic: Topic,
    cases: tuple[Case, ...],
    settings: Settings,
    folder: Path,
    tell: Callable[[str], None] = print,
) -> list[Round]:
    """Return the outcomes of every round; a system that failed once is not asked again."""
    folder.mkdir(parents=True, exist_ok=True)
    if topic.prepare:
        job = {"topic": topic.name, "prepare": True, "cases": [case.name for case in cases]}
        own = settings.interpreters["own"] or ""
        answer = _process(own, {**job, "folder": str(folder)}, settings)
        if isinstance(answer, str):
            raise SystemExit(f"{topic.name}: its files could not be made: {answer}")
    failed: dict[str, Round] = {}
    rounds = []
    for number in range(min(settings.rounds, topic.rounds)):
        done: Round = []
        for system in topic.systems:
            wanted = topic.does(system, cases)
            if not wanted:
                continue
            found = failed.get(system.name) or run_system(topic, system, wanted, settings, folder)
            if all(outcome.value is None for outcome in found):
                failed[system.name] = found
            done += found
            tell(_told(topic, number, system, found))
        rounds.append(done)
    return rounds


def run_system(
    topic: Topic, system: System, cases: Sequence[Case], settings: Settings, folder: Path
) -> Round:
    """Run one process; an outcome for every case, whatever happens."""
    interpreter = settings.interpreters.get(system.environment)
    if interpreter is None:
        return _none(system, cases, "not installed")
    wait_until_quiet(settings.quiet)
    job = {"topic": topic.name, "system": system.name, "cases": [case.name for case in cases]}
    answer = _process(interpreter, {**job, "folder": str(folder)}, settings)
    if isinstance(answer, str):
        return _none(system, cases, answer)
    outcomes = [Outcome(**one) for one in answer]
    missing = [case for case in cases if case.name not in {one.case for one in outcomes}]
    return outcomes + _none(system, missing, "the process ended before it")


def _none(system: System, cases: Sequence[Case], error: str) -> Round:
    return [Outcome(system.name, case.name, error=error) for case in cases]


def _process(interpreter: str, job: dict[str, Any], settings: Settings) -> list[Any] | str:
    """Return what a worker wrote, or the last line of its errors."""
    job |= {
        "device": settings.device,
        "threads": settings.threads,
        "seconds": settings.seconds,
        "least": settings.least,
        "seed": settings.seed,
    }
    with tempfile.TemporaryDirectory() as place:
        asked, answer = Path(place) / "job.json", Path(place) / "result.json"
        asked.write_text(json.dumps(job))
        try:
            done = run_module(
                interpreter, WORKER, [str(asked), str(answer)], settings.threads, settings.timeout
            )
            error = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        except subprocess.TimeoutExpired:
            error = f"took more than {settings.timeout:.0f} s"
        if answer.exists():
            return list(json.loads(answer.read_text()))
    for name in ("ModuleNotFoundError", "ImportError"):
        error = error.replace(f"{name}: No module named", "not installed:")
    return error[:200]


def _told(topic: Topic, number: int, system: System, found: Round) -> str:
    parts = [
        f"{one.case}: {one.error}" if one.value is None else f"{one.case}: {one.value:.4g}"
        for one in found
    ]
    return f"{topic.name} round {number + 1}  {system.name:32} {'; '.join(parts)} [{topic.unit}]"
