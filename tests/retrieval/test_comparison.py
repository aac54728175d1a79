"""Winners are named by Holm's procedure, and paired by identity."""

import pytest
import torch

from lookalike.errors import DataError
from lookalike.retrieval.comparison import Difference, paired_difference, verdicts

BETTER, NOISE = "B is better", "no difference outside the noise"


def told(*p_values, second=0.9):
    found = {
        f"m{place}": Difference(0.5, second, (0.0, 0.0), p, 10, 10)
        for place, p in enumerate(p_values)
    }
    return list(verdicts(found).values())


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        # 0.05 / 3, 0.05 / 2, 0.05: all pass, where Bonferroni's 0.05 / 3 would keep one
        ((0.01, 0.02, 0.04), [BETTER, BETTER, BETTER]),
        # the second fails, which ends it: the third is below 0.05 and fails too
        ((0.01, 0.04, 0.03), [BETTER, NOISE, NOISE]),
        # in any order
        ((0.04, 0.01, 0.02), [BETTER, BETTER, BETTER]),
        ((0.05, 0.05), [NOISE, NOISE]),
        ((0.025, 0.05), [BETTER, BETTER]),
        ((0.05,), [BETTER]),
        ((0.0501,), [NOISE]),
    ],
)
def test_p_values_are_stepped_down(p_values, expected):
    assert told(*p_values) == expected


def test_the_larger_mean_wins_and_another_level_may_be_asked_for():
    assert told(0.001, second=0.1) == ["A is better"]
    one = {"m": Difference(0.5, 0.9, (0.0, 0.0), 0.04, 10, 10)}
    assert verdicts(one, level=0.01) == {"m": NOISE}


def test_only_queries_that_count_for_both_are_compared():
    nan = float("nan")
    first = torch.tensor([1.0, nan, 0.0, 0.0, 1.0])
    second = torch.tensor([1.0, 1.0, nan, 1.0, 0.5])
    found = paired_difference(first, second, torch.tensor([7, 7, 8, 9, 9]), resamples=50)
    assert (found.num_queries, found.num_identities) == (3, 2)
    assert found.first == pytest.approx(2 / 3)
    assert found.second == pytest.approx(2.5 / 3)
    with pytest.raises(DataError, match="no query has a match in both"):
        paired_difference(first[1:2], second[1:2], torch.tensor([7]))


def test_the_p_value_is_the_share_of_signs_that_reach_as_far():
    """Of three identities that gain alike, two of the eight assignments of signs reach as far."""
    first, labels = torch.zeros(6), torch.tensor([0, 0, 1, 1, 2, 2])
    found = paired_difference(first, torch.ones(6), labels, resamples=4000)
    assert found.p_value == pytest.approx(0.25, abs=0.03)
    assert found.interval == (1.0, 1.0)
    # a gain and a loss of the same size: every assignment reaches a sum of 0
    balanced = paired_difference(first, torch.tensor([1.0, 0, -1, 0, 0, 0]), labels, resamples=99)
    assert balanced.p_value == 1.0
    # the smallest p-value is one in all the assignments that were tried and the given one
    labels = torch.arange(60)
    found = paired_difference(torch.zeros(60), torch.ones(60), labels, resamples=99)
    assert found.p_value == pytest.approx(1 / 100)


def test_the_interval_is_that_of_resampled_identities():
    """Two identities of different size: the mean of a sample is one of three values."""
    second = torch.tensor([1.0, 0.0, 0.0, 0.0])
    found = paired_difference(torch.zeros(4), second, torch.tensor([0, 1, 1, 1]), resamples=2000)
    assert found.interval == (0.0, 1.0)
    assert (found.first, found.second) == (0.0, 0.25)
