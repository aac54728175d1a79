"""Put the cases to one system: ``python -m benchmarks.conformance.judge SYSTEM RESULT``."""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
import sys
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.conformance.cases import NAN_ROW, Case, all_cases
from benchmarks.conformance.problem import NotOffered, Problem
from benchmarks.conformance.systems import System, load
from benchmarks.conformance.truth import bounds

TOLERANCE = 1e-6


@dataclass(frozen=True)
class Verdict:
    """``pass``, ``FAIL`` or ``-`` (not offered), and why."""

    case: str
    status: str
    reason: str = ""


def judge(case: Case, system: System) -> Verdict:
    """Put one case to a system."""
    asked = [metric for metric in case.metrics if system.offers(metric)]
    if not asked:
        return Verdict(case.name, "-", f"has none of {', '.join(case.metrics)}")
    try:
        wrong = _refusal(case, system, asked) if case.refused else _answers(case, system, asked)
    except NotOffered as missing:
        return Verdict(case.name, "-", str(missing))
    return Verdict(case.name, "FAIL" if wrong else "pass", wrong)


def judge_all(system: System) -> list[Verdict]:
    """Put every case to a system; what it prints is not shown."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return [judge(case, system) for case in all_cases()]


def _answers(case: Case, system: System, asked: list[str]) -> str:
    """Return what is wrong with the answers; nothing if they are right."""
    wrong: dict[str, str] = {}
    for metric in asked:  # one by one, so that an error of one does not hide the others
        try:
            values = [system.score(problem, [metric])[metric] for problem in case.problems]
        except NotOffered:
            raise
        except Exception as error:  # noqa: BLE001 - any error is a wrong answer
            wrong[metric] = f"{metric}: {type(error).__name__}: {_short(error)}"
            continue
        for problem, value in zip(case.problems, values, strict=True):
            if metric not in wrong and (told := _mistake(case, problem, metric, value)):
                wrong[metric] = told
        if metric not in wrong and max(values) - min(values) > case.same:
            wrong[metric] = f"{metric} goes from {min(values):.6g} to {max(values):.6g}"
    return "; ".join(wrong.values())


def _mistake(case: Case, problem: Problem, metric: str, value: float) -> str:
    low, high = bounds(problem, metric)
    right = f"{low:.6g}" if high - low < TOLERANCE else f"{low:.6g} to {high:.6g}"
    inside = low - TOLERANCE <= value <= high + TOLERANCE
    if not math.isfinite(value) or (case.right and not inside):
        return f"{metric} is {value:.6g}, right is {right}"
    return ""


def _refusal(case: Case, system: System, asked: list[str]) -> str:
    try:
        answers = system.score(case.problems[0], asked)
    except NotOffered:
        raise
    except Exception as error:  # noqa: BLE001 - an error is what is wanted
        if re.search(rf"\b{NAN_ROW}\b", str(error)):
            return ""
        return f"refused without naming the image: {type(error).__name__}: {_short(error)}"
    return "no error; " + ", ".join(f"{name} is {value:.6g}" for name, value in answers.items())


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return lines[-1][:90]


def main() -> None:
    """Judge the system named first and write the result to the file named second."""
    system = load(sys.argv[1])
    result = {
        "name": system.NAME,
        "version": system.VERSION,
        "verdicts": [asdict(verdict) for verdict in judge_all(system)],
    }
    Path(sys.argv[2]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
