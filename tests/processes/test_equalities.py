"""The table of equalities: every quantity in several processes is that of one."""

import sys
from pathlib import Path

import pytest
import torch
from process_group import run

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from benchmarks.processes.equalities import CASES, compare, measure  # noqa: E402


def measure_all():
    return {name: measure(name) for name in CASES}


@pytest.fixture(scope="module")
def alone():
    return measure_all()


@pytest.mark.parametrize("number", [2, 4])
def test_quantities_of_several_processes_are_those_of_one(alone, number):
    several = run(measure_all, number)
    differences = {name: compare(alone[name], [one[name] for one in several]) for name in CASES}
    assert max(differences.values()) < 1e-10, differences


def test_the_cases_differ_where_the_losses_see_their_own_images_only(alone):
    """The table can fail: pair losses, and batch norms, of parts of a batch are others."""
    several = run(measure_apart, 2)
    for name, found in several[0].items():
        assert compare(alone[name], [found, several[1][name]]) > 1e-6, name


def measure_apart():
    from unittest import mock

    from benchmarks.processes import equalities

    found = {}
    with mock.patch.object(equalities, "share_statistics"):
        found["batch norm, shared"] = measure("batch norm, shared")
    with mock.patch("lookalike.losses.weighted_sum.processes.gathered", torch.clone):
        for name in ("SupConLoss, gather", "TripletLossV2, gather", "ContrastiveLossXBM, memory"):
            found[name] = measure(name)
    return found
