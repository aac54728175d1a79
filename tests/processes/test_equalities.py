"""The table of equalities: every quantity in several processes is that of one."""

import sys
from pathlib import Path

import pytest
import torch
from process_group import run

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from benchmarks.processes.equalities import CASES, batches, compare, measure, update_of  # noqa: E402


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


PAIRS = ["SupConLoss", "TripletLossV2", "CircleLoss", "MultiSimilarityLoss", "ContrastiveLoss"]


def without_pairs():
    """Step with labels of which the second process has no two alike, norms shared."""
    from dataclasses import replace

    from lookalike import processes
    from lookalike.models.shared_batch_norm import share_statistics

    found = {}
    for name in PAIRS:
        case = replace(CASES[f"{name}, gather"], gathers=(), norm=lambda: torch.nn.BatchNorm2d(4))
        update = update_of(case)
        share_statistics(update.model)
        (batch,) = batches(1)
        if processes.rank() == 1:
            batch = replace(batch, labels=torch.arange(len(batch.labels)))
        update.gradients(batch, 0)
        update.apply(0)
        found[name] = update.model.embedding.weight.detach()
    return found


def test_a_process_without_pairs_takes_part_all_the_same():
    one, other = run(without_pairs, 2)
    for name in PAIRS:
        assert torch.isfinite(one[name]).all(), name
        assert torch.equal(one[name], other[name]), name
