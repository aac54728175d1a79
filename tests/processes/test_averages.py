"""Means over an epoch are those of all processes, also when a run goes on in another number."""

import torch
from process_group import run

from lookalike import processes
from lookalike.training.averages import Averages


def half():
    """Return the state and the means after a step in each process."""
    averages = Averages()
    averages.add({"loss": torch.tensor(1.0 + processes.rank())}, size=4)
    return averages.state_of_all(), averages.read()


def rest(state):
    """Return the means after another step."""
    averages = Averages()
    averages.load_state_dict(state)
    averages.add({"loss": torch.tensor(6.0)}, size=8 // processes.count())
    return averages.read()


def test_means_go_on_in_another_number_of_processes():
    found = run(half, 2)
    assert [means["loss"] for _, means in found] == [1.5, 1.5]
    state = found[0][0]
    assert [part["sums"]["loss"] for part in state] == [4.0, 8.0]
    for means in [rest(state), *run(rest, 2, state), *run(rest, 4, state)]:
        assert means["loss"] == (12.0 + 48.0) / 16
