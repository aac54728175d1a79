"""A model is left as it was found, whatever mode each of its parts is in."""

import pytest
import torch
from torch import nn

from lookalike.models.embedding_model import EmbeddingModel
from lookalike.models.evaluating import evaluating


def modes(model):
    return [module.training for module in model.modules()]


@pytest.mark.parametrize("training", [True, False])
def test_both_modes_come_back(training):
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout()).train(training)
    with evaluating(model):
        assert modes(model) == [False] * 3
        assert not model(torch.ones(1, 2)).requires_grad
    assert modes(model) == [training] * 3
    assert model(torch.ones(1, 2)).requires_grad


def test_a_part_that_was_in_another_mode_comes_back_so():
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout()).train()
    model[0].eval()
    with evaluating(model):
        assert modes(model) == [False] * 3
    assert modes(model) == [True, False, True]
    model.eval()
    model[0].train()
    with evaluating(model):
        assert modes(model) == [False] * 3
    assert modes(model) == [False, True, False]


def test_the_mode_comes_back_after_an_error():
    model = nn.Dropout()
    with pytest.raises(ZeroDivisionError), evaluating(model):
        raise ZeroDivisionError
    assert model.training


def test_a_frozen_backbone_stays_in_evaluation():
    model = EmbeddingModel(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4)), neck=nn.Linear(4, 2))
    model.freeze_backbone()
    model.train()
    with evaluating(model):
        model(torch.zeros(2, 4))
    assert (model.training, model.neck.training, model.backbone.training) == (True, True, False)


class Switch(nn.Module):
    """Does more than a mode change when it is switched, as a graph cut in two modes does."""

    def train(self, mode=True):
        super().train(mode)
        self.switched = mode
        return self


@pytest.mark.parametrize("training", [True, False])
def test_modules_that_do_more_when_they_are_switched_are_switched_back(training):
    model = nn.Sequential(Switch(), nn.Sequential(Switch())).train(training)
    model[1].train(not training)
    with evaluating(model):
        assert (model[0].switched, model[1][0].switched) == (False, False)
    assert (model[0].switched, model[1][0].switched) == (training, not training)
    assert modes(model) == [training, training, not training, not training]
