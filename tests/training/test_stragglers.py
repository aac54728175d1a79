"""Who is said to keep the others waiting, from seconds, and who is left in peace."""

import random

import pytest

from lookalike import place
from lookalike.training.doctor.stragglers import Pace, Stragglers, late

FAST = Pace(0.05, 0.40, 0.37)
DATA = Pace(0.42, 0.40, 0.0)
SLOW = Pace(0.05, 0.77, 0.0)


def named(windows, **settings):
    """Return what is told in each window."""
    one = Stragglers(**settings)
    one.hosts = ["a"] * 2 + ["b"] * 62
    return [one.find(paces) for paces in windows]


def test_one_that_waits_for_its_data_is_named_once_with_its_host_and_both_figures():
    found = named([[FAST, FAST, FAST, DATA]] * 9)
    assert [one is not None for one in found] == [False, False, True] + [False] * 6
    assert found[2].what == "process 3 on host b keeps the others waiting"
    assert found[2].evidence == (
        "waiting for data takes 0.420 s of a step, 0.050 s in the others, which wait up to 0.370 s "
        "in a step of 0.820 s"
    )
    assert "num_workers" in found[2].remedy


def test_one_that_computes_slowly_is_told_apart():
    found = named([[SLOW, FAST]] * 3)[2]
    assert found.what == "process 0 on host a keeps the others waiting"
    assert "computing takes 0.770 s of a step, 0.400 s in the others" in found.evidence
    assert "OMP_NUM_THREADS" in found.remedy


def test_a_slow_host_is_one_line_and_another_illness_another():
    slower = Pace(0.05, 0.90, 0.0)
    found = [one for one in named([[FAST] * 10 + [DATA] * 6 + [slower]] * 5) if one]
    assert [one.what for one in found] == [
        "process 16 on host b keeps the others waiting",
        "process 10 on host b, process 11 on host b, process 12 on host b, process 13 on host b "
        "and 2 more keep the others waiting",
    ]


@pytest.mark.parametrize(
    "windows",
    [
        [[FAST, FAST]] * 9,
        # all are slow, so nobody is
        [[DATA, DATA]] * 9,
        # waiting for the others is not being slow
        [[Pace(0.05, 0.4, 9.0), Pace(0.05, 0.4, 0.1)]] * 9,
        # a single wait of a minute
        [[FAST, FAST], [FAST, Pace(3.05, 0.4, 0.0)], *[[FAST, FAST]] * 9],
        # now one, now the other
        [[FAST, DATA], [FAST, DATA], [DATA, FAST]] * 5,
        # an eighth of the step
        [[FAST, Pace(0.15, 0.40, 0.26)]] * 9,
        # a tenth of a step of a second is lost in its communication
        [[Pace(0.1, 0.1, 0.9), Pace(0.2, 0.1, 0.8)]] * 9,
        # milliseconds
        [[Pace(0.0, 0.010, 0.007), Pace(0.0, 0.017, 0.0)]] * 9,
    ],
)
def test_others_are_left_in_peace(windows):
    assert set(named(windows)) == {None}


def test_noise_names_nobody():
    """Each step has data that comes at once or late, and a processor that is shared."""
    chance = random.Random(3)
    windows = []
    for _ in range(300):
        steps = [
            [(0.05 * chance.expovariate(1.0), chance.gauss(0.4, 0.04)) for _ in range(8)]
            for _ in range(20)
        ]
        step = sum(max(map(sum, one)) for one in steps) / 20
        means = [
            [sum(part) / 20 for part in zip(*own, strict=True)] for own in zip(*steps, strict=True)
        ]
        windows.append([Pace(*own, step - sum(own)) for own in means])
    assert set(named(windows)) == {None}


def test_at_most_half_are_late():
    assert late([FAST, DATA, DATA, SLOW]) == []
    assert late([FAST, FAST, DATA, SLOW]) == [2, 3]


def test_time_in_which_others_are_waited_for_is_nobodys_own(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(place.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(place, "here", here := place.Place())

    def wait(seconds):
        now[0] += seconds

    for phase, seconds in (("waiting for data", 2.0), ("computing", 3.0), ("evaluating", 50.0)):
        place.at(phase)
        wait(seconds)
        with place.meeting():
            wait(7.0)
        entered = now[0]
        wait(1.0)
        place.waited_since(entered)
        wait(0.5)
    place.at("waiting for data")
    assert here.own["waiting for data"] == 2.5
    assert here.own["computing"] == 3.5
    assert here.own["evaluating"] == 50.5
    assert here.waited["computing"] == 8.0
    assert here.moves == 4 + 3
