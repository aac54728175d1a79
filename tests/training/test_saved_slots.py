"""The state of an optimiser in a checkpoint is compared with the optimiser before it is loaded."""

import pytest
import torch
from conftest import trainer_of

from lookalike.errors import CheckpointError
from lookalike.optim.optimizers import OPTIMIZERS
from lookalike.optim.saved_slots import unfit_slots
from lookalike.training import load_checkpoint

MAKE = {
    "SGD": lambda groups: OPTIMIZERS["SGD"](groups),
    "Momentum": lambda groups: OPTIMIZERS["Momentum"](groups, momentum=0.9),
    "Adam": lambda groups: OPTIMIZERS["Adam"](groups),
    "AdamW": lambda groups: OPTIMIZERS["AdamW"](groups),
    "RMSProp": lambda groups: OPTIMIZERS["RMSProp"](groups, momentum=0.9),
}


def stepped(name):
    weight = torch.nn.Parameter(torch.ones(2, 3))
    optimizer = MAKE[name]([{"params": [weight]}])
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    return optimizer


@pytest.mark.parametrize("name", MAKE)
def test_an_optimisers_own_state_fits(name):
    assert unfit_slots(stepped(name), stepped(name).state_dict()) == {}


@pytest.mark.parametrize("name", MAKE)
def test_a_state_without_slots_fits_since_no_step_was_made(name):
    saved = {**stepped(name).state_dict(), "state": {}}
    assert unfit_slots(stepped(name), saved) == {}


@pytest.mark.parametrize(
    ("saved", "loading"),
    [(one, other) for one in MAKE for other in MAKE
     if {one, other} not in ({one}, {"Adam", "AdamW"}, {"SGD", "Momentum"})],
)  # fmt: skip
def test_another_optimisers_state_does_not_fit(saved, loading):
    reasons = unfit_slots(stepped(loading), stepped(saved).state_dict())
    assert "another optimiser saved it" in reasons["group 0"]


@pytest.mark.parametrize("name", ["Momentum", "Adam", "AdamW", "RMSProp"])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (6,), (3, 2), (2, 3, 1), (0,)])
def test_every_slot_must_have_the_parameters_shape(name, shape):
    optimizer = stepped(name)
    for slot in optimizer.state_dict()["state"][0]:
        if slot == "step":
            continue
        saved = optimizer.state_dict()
        saved["state"] = {0: {**saved["state"][0], slot: torch.zeros(shape)}}
        reason = f"has shape {list(shape)}, the parameter has [2, 3]"
        assert unfit_slots(stepped(name), saved) == {f"0.{slot}": reason}


@pytest.mark.parametrize("value", ["x", [1.0], 3, {}])
def test_a_slot_must_be_a_tensor(value):
    saved = stepped("Momentum").state_dict()
    saved["state"] = {0: {"momentum_buffer": value}}
    reason = f"is of type {type(value).__name__}, not a tensor"
    assert unfit_slots(stepped("Momentum"), saved) == {"0.momentum_buffer": reason}


def test_steps_are_one_number_and_no_slot_may_be_missing():
    saved = stepped("AdamW").state_dict()
    slots = dict(saved["state"][0])
    for shape in ((0,), (2,)):
        saved["state"] = {0: {**slots, "step": torch.zeros(shape)}}
        reason = f"has shape {list(shape)}, not one number"
        assert unfit_slots(stepped("AdamW"), saved) == {"0.step": reason}
    saved["state"] = {0: {key: value for key, value in slots.items() if key != "exp_avg"}}
    assert unfit_slots(stepped("AdamW"), saved) == {"0.exp_avg": "is missing"}


def test_a_run_does_not_go_on_from_a_velocity_of_another_shape(tiny):
    first = trainer_of(tiny)
    first.epochs = 1
    first.run()
    checkpoint = load_checkpoint(tiny / "output")
    state = checkpoint.state["update"]["optimizers"][0]["optimizer"]["state"]
    state[0]["momentum_buffer"] = torch.zeros(3)
    second = trainer_of(tiny)
    with pytest.raises(CheckpointError, match=r"optimizers\.0\.0\.momentum_buffer has shape \[3\]"):
        second.restore(checkpoint)
