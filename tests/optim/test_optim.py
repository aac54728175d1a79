"""Schedules and optimisers against recorded curves and trajectories."""

import re

import pytest
import torch
from golden_cases import arrays, assert_near, cases, yaml_args
from torch import nn

from lookalike import build
from lookalike.assembly.scopes import modules_in_scope
from lookalike.errors import ConfigError
from lookalike.types import ParamRule

OPTIMIZERS = ("Momentum", "SGD", "Adam", "AdamW", "RMSProp")


@pytest.mark.parametrize("case", cases("lr_curve"))
def test_schedule_matches_reference(case):
    epochs, steps = case["params"]["_epochs"], case["params"]["_steps_per_epoch"]
    spec = yaml_args(case)
    if case["component"] != "float":
        spec = {"name": case["component"], **spec}
    schedule = build("schedule", spec, epochs=epochs, steps_per_epoch=steps)
    data, rates = arrays(case), []
    for epoch in range(epochs):
        rates += [schedule(epoch * steps + step) for step in range(steps)]
        if "in.metric" in data:
            schedule.report(float(data["in.metric"][epoch]))
    assert_near(rates, data["out.lr"], case["tolerance"]["forward"])


def two_layers():
    model = nn.Module()
    model.norm = nn.LayerNorm(4)
    model.fc = nn.Linear(4, 2)
    return model


def test_rules_multiply_rates_and_replace_decay():
    model = two_layers()
    model.norm.param_rules = {"bias": ParamRule(lr_multiplier=0.0)}
    model.param_rules = {"fc.weight": ParamRule(weight_decay=0.0)}
    spec = {
        "name": "Momentum",
        "momentum": 0.0,
        "lr": {"learning_rate": 1.0},
        "regularizer": {"name": "L2", "coeff": 0.1},
    }
    optimizer = build("optimizer", spec, model=model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step(0)
    after = dict(model.named_parameters())
    torch.testing.assert_close(after["norm.bias"], before["norm.bias"])
    torch.testing.assert_close(after["fc.weight"], before["fc.weight"] - 1.0)
    torch.testing.assert_close(after["fc.bias"], before["fc.bias"] * 0.9 - 1.0)


def test_l1_decay_and_clipping_come_in_the_right_order():
    parameter = nn.Parameter(torch.tensor([2.0, -2.0]))
    spec = {
        "name": "SGD",
        "lr": {"learning_rate": 1.0},
        "regularizer": {"name": "L1", "coeff": 0.25},
        "clip_norm": 1.0,
    }
    optimizer = build("optimizer", spec, parameters=[parameter])
    parameter.grad = torch.tensor([3.0, 4.0])
    optimizer.step(0)
    # clipped to [.6, .8], then decayed by .25 * sign
    torch.testing.assert_close(parameter.detach(), torch.tensor([2 - 0.85, -2 - 0.55]))


def test_global_clipping_bounds_all_gradients_together():
    parameters = [nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))]
    spec = {"name": "SGD", "lr": 1.0, "clip_global_norm": 5.0}
    optimizer = build("optimizer", spec, parameters=parameters)
    parameters[0].grad, parameters[1].grad = torch.tensor([30.0]), torch.tensor([40.0])
    optimizer.step(0)
    assert [round(p.item(), 4) for p in parameters] == [-3.0, -4.0]


def test_a_frozen_parameter_is_left_out():
    model = two_layers()
    model.fc.weight.requires_grad_(False)
    optimizer = build("optimizer", {"name": "SGD", "lr": 0.1}, model=model)
    number = sum(len(group["params"]) for group in optimizer.optimizer.param_groups)
    assert number == 3


def recorded_model(case, data):
    """A module whose parameters have the recorded names, values and rules."""
    model = nn.Module()
    for name in (key.removeprefix("init.") for key in data if key.startswith("init.")):
        parent = model
        *path, leaf = name.split(".")
        for part in path:
            if not hasattr(parent, part):
                parent.add_module(part, nn.Module())
            parent = getattr(parent, part)
        parent.register_parameter(leaf, nn.Parameter(torch.from_numpy(data[f"init.{name}"])))
        if attr := case["params"].get("_param_attr", {}).get(name):
            decay = re.fullmatch(r"L2Decay\((.*)\)", attr.get("regularizer", ""))
            rule = ParamRule(attr.get("learning_rate", 1.0), float(decay[1]) if decay else None)
            parent.param_rules = {**getattr(parent, "param_rules", {}), leaf: rule}
    return model


def follows_the_record(case, data, model, optimizers):
    steps = sorted({int(name[4:].split(".")[0]) for name in data if name.startswith("step")})
    for step in steps:
        for name, parameter in model.named_parameters():
            parameter.grad = torch.from_numpy(data[f"step{step}.grad.{name}"].copy())
        for optimizer in optimizers:
            optimizer.step(step)
        for name, parameter in model.named_parameters():
            expected = data[f"step{step}.param.{name}"]
            assert_near(parameter, expected, case["tolerance"]["forward"], f"{step} {name}")


@pytest.mark.parametrize("case", cases("optimizer", components=OPTIMIZERS))
def test_optimizer_matches_reference(case):
    data = arrays(case)
    model = recorded_model(case, data)
    spec = case["params"]["Optimizer"]
    optimizer = build("optimizer", spec, model=model, epochs=2, steps_per_epoch=5)
    follows_the_record(case, data, model, [optimizer])


@pytest.mark.parametrize("case", cases("optimizer", components=["multiple"]))
def test_several_optimizers_match_reference(case):
    data = arrays(case)
    model = recorded_model(case, data)
    optimizers = []
    for one in case["params"]["Optimizer"]:
        ((name, args),) = one.items()
        spec = {"name": name, **args}
        modules = modules_in_scope(spec.pop("scope"), model, nn.Module())
        parameters = [p for module in modules for p in module.parameters()]
        timing = {"epochs": case["params"].get("_epochs", 2), "steps_per_epoch": 5}
        optimizers.append(build("optimizer", spec, parameters=parameters, **timing))
    follows_the_record(case, data, model, optimizers)


def test_unknown_schedule_argument_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'milestones'"):
        build("schedule", {"name": "MultiStepDecay", "learning_rate": 0.1, "milestone": [1]})
