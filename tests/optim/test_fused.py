"""One kernel for all parameters: the same steps, whatever it is handed."""

import pytest
import torch
from torch import nn

from lookalike import build
from lookalike.optim.optimizers import OPTIMIZERS

SPECS = [
    {"name": "SGD", "lr": 0.1},
    {"name": "Momentum", "momentum": 0.9, "lr": 0.1},
    {"name": "Momentum", "momentum": 0.9, "use_nesterov": True, "lr": 0.1},
    {"name": "Adam", "lr": 0.1},
    {"name": "AdamW", "lr": 0.1, "weight_decay": 0.01},
]
PLAIN = {"fused": False, "foreach": False}


def convolution(layout=torch.channels_last):
    torch.manual_seed(0)
    return nn.Conv2d(3, 4, 3).to(memory_format=layout)


def step(model, optimizer, number):
    generator = torch.Generator().manual_seed(number)
    for parameter in model.parameters():
        # laid out as the parameter, as autograd leaves it
        values = torch.randn(parameter.shape, generator=generator)
        parameter.grad = torch.empty_like(parameter).copy_(values)
    optimizer.step(number)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def optimizer_of(spec, model, *, plain=False):
    optimizer = build("optimizer", spec, model=model)
    for group in optimizer.optimizer.param_groups if plain else ():
        group.update(PLAIN)
    return optimizer


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_one_kernel_steps_as_one_parameter_after_the_other(spec):
    found = []
    for plain in (False, True):
        model = convolution()
        optimizer = optimizer_of(spec, model, plain=plain)
        assert all(group["fused"] is not plain for group in optimizer.optimizer.param_groups)
        for number in range(4):
            step(model, optimizer, number)
        found.append(weights(model))
    torch.testing.assert_close(*found, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("first_plain", [False, True])
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_saved_state_goes_on_under_other_kernels_and_another_layout(spec, first_plain):
    """A file holds rows one after the other; the weights it is loaded for are channels-last."""
    straight = convolution()
    optimizer = optimizer_of(spec, straight)
    for number in range(4):
        step(straight, optimizer, number)

    first = convolution(torch.contiguous_format)
    before = optimizer_of(spec, first, plain=first_plain)
    for number in range(2):
        step(first, before, number)
    second = convolution()
    second.load_state_dict(first.state_dict())
    after = optimizer_of(spec, second)
    after.load_state_dict(before.state_dict())
    assert all(group["fused"] for group in after.optimizer.param_groups)
    for number in (2, 3):
        step(second, after, number)
    torch.testing.assert_close(weights(second), weights(straight), rtol=1e-6, atol=1e-7)


def test_a_gradient_that_comes_late_begins_with_no_velocity():
    first, late = (nn.Parameter(torch.zeros(1)) for _ in range(2))
    spec = {"name": "Momentum", "momentum": 0.5, "lr": 1.0}
    optimizer = build("optimizer", spec, parameters=[first, late])
    first.grad = torch.ones(1)
    optimizer.step(0)
    first.grad, late.grad = torch.ones(1), torch.ones(1)
    optimizer.step(1)
    assert (first.item(), late.item()) == (-2.5, -1.0)


def test_a_first_step_that_is_left_out_leaves_no_trace():
    parameter = nn.Parameter(torch.zeros(1000))
    spec = {"name": "Momentum", "momentum": 1.0, "lr": 1.0}
    optimizer = build("optimizer", spec, parameters=[parameter])
    scaler = torch.amp.GradScaler("cpu", init_scale=1.0, growth_interval=100)
    scaler.scale(torch.zeros(()))  # the scaler makes its factor when it is first used
    parameter.grad = torch.full((1000,), torch.inf)
    optimizer.step(0, scaler)
    scaler.update()
    parameter.grad = torch.full((1000,), scaler.get_scale())
    optimizer.step(1, scaler)
    assert torch.equal(parameter.detach(), -torch.ones(1000))


def test_devices_without_the_kernel_keep_the_choice_of_pytorch():
    meta = nn.Parameter(torch.zeros(1, device="meta"))
    optimizer = OPTIMIZERS["SGD"]([{"params": [meta]}])
    assert optimizer.param_groups[0]["fused"] is None


def test_clipping_and_decay_of_many_parameters_are_those_of_each():
    torch.manual_seed(0)
    parameters = [nn.Parameter(torch.randn(5)) for _ in range(3)]
    spec = {"name": "SGD", "lr": 1.0, "clip_norm": 1.0}
    optimizer = build("optimizer", spec, parameters=parameters)
    group = optimizer.optimizer.param_groups[0]
    group["l1"], group["l2"] = 0.25, 0.125
    expected = []
    for parameter, size in zip(parameters, (0.0, 0.5, 9.0), strict=True):
        gradient = torch.tensor([size, 0.0, 0.0, 0.0, 0.0])
        parameter.grad = gradient.clone()
        value = parameter.detach()
        expected.append(value - gradient.clamp_max(1.0) - 0.25 * value.sign() - 0.125 * value)
    optimizer.step(0)
    for parameter, value in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.detach(), value)
