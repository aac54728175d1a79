"""Weights drawn in brief are like others to look at."""

import pytest
import torch
from torch import Tensor, nn

from lookalike.assembly.brief_draws import brief_draws


def test_small_tensors_are_drawn_as_ever():
    torch.manual_seed(3)
    expected = nn.Linear(64, 64).weight
    torch.manual_seed(3)
    with brief_draws():
        assert nn.Linear(64, 64).weight.equal(expected)


@pytest.mark.parametrize("shape", [(512, 300), (65_521, 2), (256, 128, 3, 3)])
def test_large_ones_have_the_scale_asked_for_and_rows_that_differ(shape):
    with brief_draws():
        drawn = nn.init.normal_(torch.empty(shape), mean=1.0, std=0.5).flatten(1)
    assert drawn.mean().item() == pytest.approx(1.0, abs=0.02)
    assert drawn.std().item() == pytest.approx(0.5, abs=0.02)
    assert len(drawn.unique(dim=0)) == len(drawn)


def test_tensors_that_are_not_in_one_piece_are_filled():
    with brief_draws():
        drawn = torch.zeros(600, 300).t().uniform_(1.0, 2.0)
    assert drawn.min() >= 1.0


def test_tensors_are_themselves_again_afterwards():
    with pytest.raises(KeyError), brief_draws():
        raise KeyError
    assert not {"normal_", "uniform_"} & set(vars(Tensor))
