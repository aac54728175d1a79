"""The decay and the rate of every parameter, with all their sources at once."""

import pytest
import torch
from torch import nn

from lookalike.optim import collect_rules, parameter_groups
from lookalike.types import ParamRule

# Sources: the run's decay, names without decay, parameters of one dimension, own rules.
RULES = {
    "first.weight": ParamRule(weight_decay=0.5),
    "second.weight": ParamRule(lr_multiplier=0.1, weight_decay=0.25, decay_kind="L1"),
    "norm.weight": ParamRule(weight_decay=0.75),
    "spared.weight": ParamRule(lr_multiplier=2.0, weight_decay=0.125),
}


def small():
    model = nn.Module()
    for name in ("first", "second", "spared", "plain"):
        model.add_module(name, nn.Linear(2, 2))
    model.norm = nn.LayerNorm(2)
    model.param_rules = dict(RULES)
    return model


def settings_of(model, **kwargs):
    """Return (rate, weight_decay, l1, l2) by name, checking that each parameter is in one group."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {}
    for group in parameter_groups([model], **kwargs):
        for parameter in group["params"]:
            assert names[id(parameter)] not in found
            about = tuple(group[key] for key in ("lr_multiplier", "weight_decay", "l1", "l2"))
            found[names[id(parameter)]] = about
    return found


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        (
            {"weight_decay": 0.01},
            {
                "first.weight": (1.0, 0.5, 0.0, 0.0),
                "second.weight": (0.1, 0.0, 0.25, 0.0),
                "spared.weight": (2.0, 0.125, 0.0, 0.0),
                "norm.weight": (1.0, 0.75, 0.0, 0.0),
                "others": (1.0, 0.01, 0.0, 0.0),
            },
        ),
        (
            {"weight_decay": 0.01, "decay_kind": "L1"},
            {
                "first.weight": (1.0, 0.5, 0.0, 0.0),
                "second.weight": (0.1, 0.0, 0.25, 0.0),
                "spared.weight": (2.0, 0.125, 0.0, 0.0),
                "norm.weight": (1.0, 0.75, 0.0, 0.0),
                "others": (1.0, 0.0, 0.01, 0.0),
            },
        ),
        (  # what must not be decayed is not, whatever its own rule says
            {"weight_decay": 0.01, "no_decay": ["spared"], "one_dimensional_no_decay": True},
            {
                "first.weight": (1.0, 0.5, 0.0, 0.0),
                "second.weight": (0.1, 0.0, 0.25, 0.0),
                "spared.weight": (2.0, 0.0, 0.0, 0.0),
                "plain.weight": (1.0, 0.01, 0.0, 0.0),
                "others": (1.0, 0.0, 0.0, 0.0),
            },
        ),
        (  # decoupled decay: a rule is added to the gradient, the run's decay is left out by name
            {"weight_decay": 0.01, "rules_add": True, "no_decay": ["spared"]},
            {
                "first.weight": (1.0, 0.01, 0.0, 0.5),
                "second.weight": (0.1, 0.01, 0.25, 0.0),
                "spared.weight": (2.0, 0.0, 0.0, 0.125),
                "spared.bias": (1.0, 0.0, 0.0, 0.0),
                "norm.weight": (1.0, 0.01, 0.0, 0.75),
                "others": (1.0, 0.01, 0.0, 0.0),
            },
        ),
    ],
    ids=["L2", "L1", "spared", "added"],
)
def test_the_decay_of_each_parameter(kwargs, expected):
    model = small()
    found = settings_of(model, **kwargs)
    others = expected.pop("others")
    assert found == {name: expected.get(name, others) for name, _ in model.named_parameters()}


def test_frozen_and_shared_parameters():
    model = small()
    model.first.weight.requires_grad_(False)
    model.second.weight = model.plain.weight
    found = settings_of(model)
    assert "first.weight" not in found
    assert len(found) == 8
    twice = parameter_groups([model, model.plain, nn.ModuleList([model])])
    assert sum(len(group["params"]) for group in twice) == 8


def test_rules_have_the_full_names_of_their_parameters():
    model = small()
    model.norm.param_rules = {"bias": ParamRule(lr_multiplier=3.0)}
    outer = nn.Sequential(model)
    names = {f"0.{name}" for name in RULES} | {"0.norm.bias"}
    assert set(collect_rules(outer)) == names
    assert collect_rules(model)["norm.bias"].lr_multiplier == 3.0
    assert collect_rules(torch.nn.Linear(1, 1)) == {}
