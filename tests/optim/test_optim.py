"""Schedules and optimisers against recorded curves and trajectories."""

import re

import pytest
import torch
from golden_cases import arrays, assert_near, cases, yaml_args
from torch import nn

from lookalike import build
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
    timing = {"epochs": case["params"].get("_epochs", 2), "steps_per_epoch": 5}
    optimizers = build("optimizer", case["params"]["Optimizer"], model=model, **timing)
    follows_the_record(case, data, model, optimizers)


def test_a_list_of_optimizers_finds_its_scopes():
    model = nn.ModuleDict({"backbone": nn.Linear(2, 3), "head": nn.Linear(3, 4)})
    center = {"CenterLoss": {"weight": 1.0, "num_classes": 4, "feat_dim": 3}}
    loss = build("loss", [{"TriHardLoss": {"weight": 1.0}}, center])
    one = {"lr": {"learning_rate": 0.1}}
    specs = [{"SGD": {"scope": scope, **one}} for scope in ("backbone", "CenterLoss", "all")]
    first, second, third = build("optimizer", specs, model=model, loss=loss)
    sizes = [
        [p.numel() for group in optimizer.optimizer.param_groups for p in group["params"]]
        for optimizer in (first, second, third)
    ]
    assert sizes == [[6, 3], [12], [6, 3, 12, 4, 12]]
    with pytest.raises(ConfigError, match="holds no parameter"):
        build("optimizer", [{"SGD": {"scope": "TriHardLoss", **one}}], model=model, loss=loss)
    with pytest.raises(ConfigError, match="needs model"):
        build("optimizer", specs, parameters=model.parameters())


def test_words_about_precision_and_sparsity_mean_nothing():
    for name, more in (
        ("Momentum", {"momentum": 0.9, "multi_precision": True}),
        ("SGD", {"multi_precision": False}),
        ("RMSProp", {"multi_precision": True}),
        ("AdamW", {"multi_precision": True}),
        ("Adam", {"lazy_mode": True, "parameter_list": None, "multi_precision": True}),
    ):
        build("optimizer", {"name": name, "lr": 0.1, **more}, model=nn.Linear(2, 2))


@pytest.mark.parametrize("kind", ["L1", "L2"])
def test_a_rule_is_added_to_the_decay_of_adamw(kind):
    model = nn.Linear(3, 2, bias=False)
    model.param_rules = {"weight": ParamRule(weight_decay=0.5, decay_kind=kind)}
    weight = model.weight.detach().clone()
    spec = {"name": "AdamW", "lr": 0.1, "weight_decay": 0.2, "beta1": 0.0, "epsilon": 1e-3}
    optimizer = build("optimizer", spec, model=model)
    model.weight.grad = torch.full_like(weight, 0.3)
    optimizer.step(0)
    gradient = 0.3 + 0.5 * (weight.sign() if kind == "L1" else weight)
    expected = weight * (1 - 0.1 * 0.2) - 0.1 * gradient / (gradient.abs() + 1e-3)
    torch.testing.assert_close(model.weight.detach(), expected)


def test_cyclic_warms_up_to_the_lower_rate():
    spec = {"name": "Cyclic", "base_learning_rate": 0.01, "max_learning_rate": 0.1,
            "step_size_up": 3, "warmup_epoch": 2, "scale_mode": "cycle"}  # fmt: skip
    schedule = build("schedule", spec, epochs=9, steps_per_epoch=4)
    rates = [round(schedule(step), 5) for step in range(12)]
    assert rates == [
        0.0, 0.00125, 0.0025, 0.00375, 0.005, 0.00625, 0.0075, 0.00875, 0.01, 0.04, 0.07, 0.1,
    ]  # fmt: skip


def test_one_cycle_in_three_phases():
    spec = {"name": "OneCycleLR", "max_learning_rate": 1.0, "divide_factor": 4.0,
            "end_learning_rate": 0.0, "anneal_strategy": "linear", "phase_pct": 0.3,
            "three_phase": True}  # fmt: skip
    schedule = build("schedule", spec, epochs=10, steps_per_epoch=1)
    rates = [schedule(step) for step in range(10)]
    rising, falling = [0.25, 0.625, 1.0, 0.625, 0.25], [0.2, 0.15, 0.1, 0.05, 0.0]
    assert rates == pytest.approx([*rising, *falling])
    with pytest.raises(ConfigError, match=r"below 0\.5"):
        build("schedule", {**spec, "phase_pct": 0.5}, epochs=10)


def test_one_cycle_whose_rise_is_over_before_it_begins():
    spec = {"name": "OneCycleLR", "max_learning_rate": 0.1, "phase_pct": 0.1}
    schedule = build("schedule", spec, epochs=5, steps_per_epoch=1)
    rates = [round(schedule(step), 5) for step in range(5)]
    assert rates == [0.09698, 0.075, 0.04132, 0.0117, 0.0]


def test_steps_between_falls_are_whole():
    spec = {"name": "Step", "learning_rate": 1.0, "step_size": 1.5, "gamma": 0.5}
    schedule = build("schedule", spec, epochs=4, steps_per_epoch=3)
    assert [schedule(step) for step in range(9)] == [1.0] * 4 + [0.5] * 4 + [0.25]
    with pytest.raises(ConfigError, match="at least one step"):
        build("schedule", {**spec, "step_size": 0.2}, epochs=4, steps_per_epoch=3)


def test_unknown_schedule_argument_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'milestones'"):
        build("schedule", {"name": "MultiStepDecay", "learning_rate": 0.1, "milestone": [1]})
