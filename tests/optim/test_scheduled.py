"""What happens to gradients before a step, and in which order."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from lookalike import build

# gradient norms 5 and 10; together sqrt(125)
GRADIENTS = ([3.0, 4.0], [6.0, 8.0])
CLIPPED = {
    "clip_norm": ([0.6, 0.8], [0.6, 0.8]),
    "clip_global_norm": (
        [v / 125**0.5 for v in GRADIENTS[0]],
        [v / 125**0.5 for v in GRADIENTS[1]],
    ),
}


def two(spec):
    parameters = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))]
    return parameters, build("optimizer", {"name": "SGD", "lr": 0.5, **spec}, parameters=parameters)


@pytest.mark.parametrize("factor", [None, 1.0, 4.0, 1024.0])
@pytest.mark.parametrize("kind", CLIPPED)
def test_gradients_are_clipped_at_their_true_size(kind, factor):
    """The factor of float16 is taken off first, whatever it is."""
    parameters, optimizer = two({kind: 1.0})
    scaler = None
    if factor is not None:
        scaler = torch.amp.GradScaler("cpu", init_scale=factor)
        scaler.scale(torch.zeros(()))
    for parameter, gradient in zip(parameters, GRADIENTS, strict=True):
        parameter.grad = torch.tensor(gradient) * (factor or 1.0)
    optimizer.step(0, scaler)
    for parameter, gradient in zip(parameters, CLIPPED[kind], strict=True):
        expected = 1.0 - 0.5 * torch.tensor(gradient)
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-5, atol=1e-6)
        assert parameter.grad is None, "gradients are cleared after the step"


@pytest.mark.parametrize("kind", CLIPPED)
def test_gradients_within_the_bound_stay(kind):
    parameters, optimizer = two({kind: 12.0})
    for parameter, gradient in zip(parameters, GRADIENTS, strict=True):
        parameter.grad = torch.tensor(gradient)
    optimizer.step(0)
    for parameter, gradient in zip(parameters, GRADIENTS, strict=True):
        torch.testing.assert_close(parameter.detach(), 1.0 - 0.5 * torch.tensor(gradient))


def test_l2_is_added_after_clipping_and_not_to_what_has_no_gradient():
    parameters, optimizer = two({"clip_norm": 1.0})
    optimizer.optimizer.param_groups[0]["l2"] = 0.25
    parameters[0].grad = torch.tensor(GRADIENTS[0])
    optimizer.step(0)
    torch.testing.assert_close(parameters[0].detach(), torch.tensor([0.575, 0.475]))
    assert parameters[1].tolist() == [1.0, 1.0]


def test_the_state_holds_the_optimiser_and_its_schedule():
    lr = {"name": "ReduceOnPlateau", "learning_rate": 1.0, "patience": 0}
    parameters, optimizer = two({"name": "Momentum", "momentum": 0.5, "lr": lr})
    parameters[0].grad = torch.ones(2)
    optimizer.step(0)
    optimizer.report(1.0)
    optimizer.report(1.0)
    others, again = two({"name": "Momentum", "momentum": 0.5, "lr": lr})
    again.load_state_dict(deepcopy(optimizer.state_dict()))
    for ones, one in ((parameters, optimizer), (others, again)):
        ones[0].grad = torch.ones(2)
        one.step(1)
    # the first falls from 0 by 0.1 * (1 + 0.5), the other starts from 1
    torch.testing.assert_close(parameters[0].detach(), torch.tensor([-0.15, -0.15]))
    torch.testing.assert_close(others[0].detach(), torch.tensor([0.85, 0.85]))
