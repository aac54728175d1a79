"""A file that differs from its model: whether the file is the cause, or the model."""

import pytest
import torch
from torch import nn

from lookalike.assembly.parity import compare, own_drift
from lookalike.errors import ExportError

IMAGES = 1.0 + torch.rand(8, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(8) // 2


def file_off_by(amount):
    return lambda images: images + amount * torch.eye(4)[0]


def compared(amount, own):
    return compare("model.onnx", file_off_by(amount), IMAGES, IMAGES, LABELS, lambda: own)


def test_a_file_within_the_limit_needs_no_look_at_the_model():
    parity = compared(1e-3, None)
    assert 0.0 < parity.drift < 1e-4
    assert parity.own_drift is None


def test_of_a_steady_model_the_file_is_the_cause():
    text = r"does not compute .* 1 - cosine is up to 0\.\d+ .* The file is the cause: .* to 3e-08"
    with pytest.raises(ExportError, match=text):
        compared(1.0, 3e-8)


def test_a_file_as_near_to_the_model_as_the_model_to_itself_is_right():
    parity = compared(0.05, 2e-3)
    assert 1e-4 < parity.drift < 2e-3
    assert parity.own_drift == 2e-3
    with pytest.raises(ExportError, match="The file is the cause"):
        compared(0.5, 2e-3)


def test_a_model_that_is_not_steady_at_all_is_the_cause_and_refused():
    text = r"cannot be compared .* The model is the cause: .* by up to 0\.5, .* --no-onnx"
    with pytest.raises(ExportError, match=text):
        compared(1.0, 0.5)


class Stepping(nn.Module):
    """Turn the side of a boundary on which a layer's result lies into a step."""

    def __init__(self, step):
        super().__init__()
        self.layer, self.step = nn.Linear(4, 4), step

    def forward(self, images):
        values = self.layer(images)
        return values + self.step * ((values * 2.0**20).round() % 2)


@torch.no_grad()
def test_a_model_that_rounds_is_less_steady_than_one_that_does_not():
    torch.manual_seed(0)
    plain, rounding = Stepping(0.0), Stepping(0.5)
    rounding.layer = plain.layer
    drifts = [own_drift(model, model, IMAGES, model(IMAGES)) for model in (plain, rounding)]
    assert drifts[0] < 1e-6
    assert drifts[1] > 1e-3
    assert not plain.layer._forward_hooks
