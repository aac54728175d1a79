"""What is to be reached, as data: ratios within one run, and what came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.speed.rows import Row, times

BEST_LIBRARY = "the best library"
_CLAS, _LIMIT = "PaddleClas", "limit"


@dataclass(frozen=True)
class Goal:
    """One ratio.

    Attributes:
        topic: Of the plan.
        key: ``Case.goal``.
        ours: The system that is held to it.
        over: What it is compared with: a system, ``the best library`` or ``limit``.
        at_least: How many times as fast.
        below: Seconds, in place of a comparison.
    """

    topic: str
    key: str
    ours: str
    over: str = ""
    at_least: float = 0.0
    below: float = 0.0


_US, _BARE = "Lookalike", "torch, channels last, fused SGD"
_PFC = "insightface's PartialFC 0.1 (procedure)"
GOALS = (
    Goal("train_resnet50", "step", _US, _CLAS, 1.55),
    Goal("train_resnet50", "step", _US, _BARE, 0.98),
    Goal("train_mobilenet", "step", _US, _CLAS, 3.5),
    Goal("train_mobilenet", "step", _US, _BARE, 0.98),
    Goal("input", "chain", _US, _CLAS, 3.2),
    Goal("input", "chain", _US, BEST_LIBRARY, 1.2),
    Goal("input", "chain", _US, _LIMIT, 0.65),
    Goal("samplers", "200k", _US, "PaddleClas RandomIdentity", 40.0),
    Goal("samplers", "1M", _US, "PaddleClas RandomIdentity", 40.0),
    Goal("heads", "100k", "Lookalike chunked", "torch dense", 3.0),
    Goal("heads", "100k", "Lookalike sampled 0.1", _PFC, 4.0),
    Goal("pairs", "supcon", _US, "PML", 1.7),
    Goal("pairs", "supcon", _US, _CLAS, 2.6),
    Goal("pairs", "triplet", _US, "OML", 1.25),
    Goal("pairs", "triplet", _US, _CLAS, 15.0),
    Goal("pairs", "circle", _US, "PML", 2.4),
    Goal("pairs", "multi_similarity", _US, "PML", 2.4),
    Goal("extract", "resnet50", "Lookalike, files to ONNX", "onnxruntime, tensors", 0.95),
    Goal("startup", "startup", "lookalike --help", below=0.5),
    Goal("startup", "startup", "lookalike check", below=3.0),
)


@dataclass(frozen=True)
class Verdict:
    """A goal beside what was measured.

    Attributes:
        measured: Times as fast, or seconds; the median of the rounds, the least and the most.
        reached: None if it could not be measured.
        why: Why not.
        over: The system that it was compared with in the end.
    """

    goal: Goal
    case: str
    measured: tuple[float, float, float] | None
    reached: bool | None
    why: str = ""
    over: str = ""


def judge(goal: Goal, rows: Sequence[Row]) -> Verdict | None:
    """Compare a goal with the rows; None if its topic was not run."""
    here = [row for row in rows if (row["topic"], row.get("goal")) == (goal.topic, goal.key)]
    ours = next((row for row in here if row["system"] == goal.ours), None)
    if ours is None:
        return None
    case = ours["case"]
    if ours["value"] is None:
        return Verdict(goal, case, None, None, f"{goal.ours}: {ours['error']}")
    if goal.below:
        known = [value for value in ours["values"] if value]
        measured = (ours["value"], min(known), max(known))
        return Verdict(goal, case, measured, ours["value"] < goal.below)
    other, why = _other(goal, here)
    found = None if other is None else times(ours, other)
    if other is None or found is None:
        return Verdict(goal, case, None, None, why or "no common round")
    return Verdict(goal, case, found, found[0] >= goal.at_least, over=other["system"])


def _other(goal: Goal, here: Sequence[Row]) -> tuple[Row | None, str]:
    if goal.over == BEST_LIBRARY:
        peers = [row for row in here if row["role"] == "peer" and row["system"] != _CLAS]
    elif goal.over == _LIMIT:
        peers = [row for row in here if row["role"] == "limit"]
    else:
        peers = [row for row in here if row["system"] == goal.over]
    ran = [row for row in peers if row["value"] is not None]
    if ran:
        return max(ran, key=lambda row: row["value"]), ""
    why = "; ".join(f"{row['system']}: {row['error']}" for row in peers)
    return None, why or f"{goal.over} was not run"


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Judge all goals whose topics were run."""
    return [found for goal in GOALS if (found := judge(goal, rows)) is not None]


def words(verdict: Verdict) -> str:
    """Return ``reached``, ``not reached`` or why nothing was measured."""
    if verdict.reached is None:
        return f"not measured ({verdict.why})"
    return "reached" if verdict.reached else "not reached"


def demand(goal: Goal) -> str:
    """Return the goal in words."""
    return f"below {goal.below:g} s" if goal.below else f"at least {goal.at_least:g} x {goal.over}"
