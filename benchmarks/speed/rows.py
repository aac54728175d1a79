"""Outcomes of rounds to the rows of ``benchmarks/latest.json``."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.plan import Case, Outcome, Topic

Row = dict[str, Any]


def rows_of(
    topic: Topic, cases: Sequence[Case], rounds: Sequence[Sequence[Outcome]], *, how: Row
) -> list[Row]:
    """Return a row for each case and system, the medians of the rounds.

    ``fastest`` and ``slowest`` are those of the rounds, ``values`` has one for each round. What was
    not run has None for a value, and says why under ``error``. ``how`` is put into every row.
    """
    made = []
    for case in cases:
        for system in topic.systems:
            found = [
                one
                for done in rounds
                for one in done
                if (one.case, one.system) == (case.name, system.name)
            ]
            if found:
                facts = {"goal": case.goal, "curve": case.curve, "role": system.role}
                made.append(_row(topic, case.name, found) | facts | how)
    return made


def _row(topic: Topic, case: str, found: Sequence[Outcome]) -> Row:
    good = [one for one in found if one.value is not None]
    values = [one.value for one in good if one.value is not None]
    order = sorted(values, reverse=topic.unit != "s")
    last = (good or list(found))[-1]

    def middle(name: str) -> float | None:
        return statistics.median(getattr(one, name) for one in good) if good else None

    return {
        "topic": topic.name,
        "case": case,
        "system": last.system,
        "value": statistics.median(values) if values else None,
        "unit": topic.unit,
        "cpu_seconds": middle("cpu_seconds"),
        "peak_mb": max((one.peak_mb for one in good), default=None),
        "seconds": middle("seconds"),
        "over_mb": middle("over_mb"),
        "fastest": order[0] if order else None,
        "slowest": order[-1] if order else None,
        "values": [one.value for one in found],
        "others": middle("others"),
        "calls": sum(one.calls for one in good),
        "version": last.version,
        "error": next((one.error for one in found if one.error), ""),
        "facts": last.facts,
    }


def save(rows: Sequence[Row], path: Path) -> None:
    """Put the rows in place of the earlier ones of their topics."""
    topics = {row["topic"] for row in rows}
    kept = json.loads(path.read_text()) if path.exists() else []
    kept = [row for row in kept if row["topic"] not in topics]
    path.write_text(json.dumps([*kept, *rows], indent=1) + "\n")


def of_topic(topic: str, path: Path) -> list[Row]:
    """Return the rows of a topic that are in the file."""
    kept = json.loads(path.read_text()) if path.exists() else []
    return [row for row in kept if row["topic"] == topic]


def times(ours: Row, other: Row) -> tuple[float, float, float] | None:
    """Return how many times as fast ours is: the median over the rounds, the least, the most.

    Both had their turns in the same rounds, so what slowed a round down cancels out.
    """
    pairs = zip(ours["values"], other["values"], strict=False)
    slow = ours["unit"] == "s"
    ratios = [b / a if slow else a / b for a, b in pairs if a and b]
    return (statistics.median(ratios), min(ratios), max(ratios)) if ratios else None
