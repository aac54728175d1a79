"""The conformance suite against Lookalike alone, and against itself."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from benchmarks.conformance.cases import all_cases
from benchmarks.conformance.judge import judge
from benchmarks.conformance.systems import lookalike_adapter
from benchmarks.conformance.truth import bounds, smallest_gap

CASES = {case.name: case for case in all_cases()}


@pytest.mark.parametrize("name", CASES)
def test_lookalike_passes(name):
    verdict = judge(replace(CASES[name], right=True), lookalike_adapter)
    assert (verdict.status, verdict.reason) == ("pass", "")


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.refused])
def test_no_case_hangs_on_rounding(name):
    assert min(smallest_gap(problem) for problem in CASES[name].problems) > 1e-6


def test_answers_worked_out_by_hand():
    case = CASES["mAP@5 denominator"]
    assert bounds(case.problems[0], "mAP@5") == pytest.approx((0.2, 0.2))
    junk = CASES["camera junk"].problems[0]
    # query 0 finds its item at rank 3 of 5, query 1 at rank 5 of 5
    assert bounds(junk, "mAP") == pytest.approx(((1 / 3 + 1 / 5) / 2,) * 2)


class Wrong:
    NAME, VERSION = "wrong", "0"

    def offers(self, metric):
        return metric in ("mAP", "recall@1")

    def score(self, problem, metrics):
        return {metric: float(problem.gallery[0, 0]) for metric in metrics}


@pytest.mark.parametrize("name", ["perfect ranking", "permuted gallery", "NaN is refused"])
def test_a_wrong_system_fails(name):
    verdict = judge(CASES[name], Wrong())
    assert verdict.status == "FAIL" and verdict.reason


def test_what_is_not_offered_is_not_judged():
    assert judge(CASES["mAP@5 denominator"], Wrong()).status == "-"


def test_ties_are_bounded_by_the_worst_and_the_best_order():
    low, high = bounds(CASES["all ties"].problems[0], "mAP")
    assert 0 < low < high == 1.0


def test_removed_pairs():
    problem = CASES["camera junk"].problems[0]
    removed = problem.removed()
    assert np.argwhere(removed).tolist() == [[0, 0], [1, 1]]
