"""A rate that follows the metric: each rule at its boundary, and resumed anywhere."""

import pytest
import torch
from torch import nn

from lookalike import build


def plateau(**settings):
    return build("schedule", {"name": "ReduceOnPlateau", "learning_rate": 1.0, **settings})


def rates_of(schedule, metrics):
    found = []
    for metric in metrics:
        schedule.report(metric)
        found.append(schedule(0))
    return found


# the second evaluation without improvement halves the rate; the two after that are not counted
PATIENT = {"mode": "max", "factor": 0.5, "patience": 1, "cooldown": 2}
METRICS = [0.5, 0.5, 0.5, 0.4, 0.4, 0.4, 0.4, 0.9, 0.9, 0.8, 0.8]
RATES = [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25]


@pytest.mark.parametrize("before", range(len(METRICS)))
def test_a_resumed_schedule_goes_on_as_the_uninterrupted_one(before):
    def optimizer():
        spec = {"name": "SGD", "lr": {"name": "ReduceOnPlateau", "learning_rate": 1.0, **PATIENT}}
        return build("optimizer", spec, parameters=[nn.Parameter(torch.zeros(1))])

    first = optimizer()
    for metric in METRICS[:before]:
        first.report(metric)
    second = optimizer()
    second.load_state_dict(first.state_dict())
    assert second.learning_rate(0) == ([1.0, *RATES][before])
    assert rates_of(second.schedule, METRICS[before:]) == RATES[before:]


@pytest.mark.parametrize(
    ("settings", "metrics", "rates"),
    [
        ({"patience": 0, "mode": "min"}, [3.0, 2.0, 2.0, 1.0], [1.0, 1.0, 0.1, 0.1]),
        ({"patience": 2, "mode": "max"}, [1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.1]),
        # a change must be larger than the threshold, relative to the best or as it is
        ({"patience": 0, "mode": "max", "threshold": 0.5}, [2.0, 3.0], [1.0, 0.1]),
        ({"patience": 0, "mode": "max", "threshold": 0.5}, [2.0, 3.1], [1.0, 1.0]),
        ({"patience": 0, "mode": "min", "threshold": 0.5}, [2.0, 1.0], [1.0, 0.1]),
        ({"patience": 0, "mode": "min", "threshold": 0.5}, [2.0, 0.9], [1.0, 1.0]),
        ({"patience": 0, "mode": "max", "threshold": 0.5, "threshold_mode": "abs"},
         [2.0, 2.5], [1.0, 0.1]),
        ({"patience": 0, "mode": "max", "threshold": 0.5, "threshold_mode": "abs"},
         [2.0, 2.6], [1.0, 1.0]),
        # never below the bound, and no fall as small as epsilon
        ({"patience": 0, "min_lr": 0.3}, [1.0, 1.0, 1.0], [1.0, 0.3, 0.3]),
        ({"patience": 0, "epsilon": 0.9}, [1.0, 1.0], [1.0, 1.0]),
        ({"patience": 0, "epsilon": 0.89}, [1.0, 1.0], [1.0, 0.1]),
        # the best stays the best while the metric falls back
        ({"patience": 1, "mode": "max"}, [0.5, 0.1, 0.2], [1.0, 1.0, 0.1]),
        # a rise between two falls starts the count again
        ({"patience": 1, "mode": "max"}, [0.5, 0.4, 0.6, 0.5, 0.5], [1.0, 1.0, 1.0, 1.0, 0.1]),
    ],
)  # fmt: skip
def test_the_rules_at_their_boundaries(settings, metrics, rates):
    assert rates_of(plateau(**settings), metrics) == pytest.approx(rates)


def test_ten_evaluations_are_tolerated_and_the_metric_should_fall_by_default():
    assert rates_of(plateau(), [1.0] * 12) == pytest.approx([1.0] * 11 + [0.1])
