"""Whole trainings of the reference, step by step: outputs, gradients, losses, final weights."""

import copy

import numpy as np
import pytest
import torch
from golden_cases import arrays, cases

from lookalike import build

WORDS = {"running_mean": "_mean", "running_var": "_variance"}


def measure(found, expected):
    """The distance the recording prescribes."""
    found = found.detach().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
    return np.abs(found - expected).max() / (np.abs(expected).max() + 1e-3)


def recorded_name(name):
    """Our parameter or buffer name to the reference's."""
    parent, _, leaf = name.rpartition(".")
    return f"{parent.replace('backbone.model.', 'backbone.')}.{WORDS.get(leaf, leaf)}"


def to_ours(name, value):
    """Linear and margin weights are recorded as [in, out]."""
    value = torch.from_numpy(value)
    return value.T if value.ndim == 2 else value


def load(model, data, prefix):
    state = {}
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        value = to_ours(name, data[f"{prefix}.{recorded_name(name)}"])
        assert value.shape == tensor.shape, name
        state[name] = value
    model.load_state_dict(state, strict=False)


@pytest.mark.parametrize("case", [c for c in cases("end_to_end") if "stub" in c.id])
def test_training_follows_the_recorded_trajectory(case):
    data, params, tolerance = arrays(case), case["params"], case["tolerance"]
    arch = copy.deepcopy(params["Arch"])
    arch["Backbone"] = {"name": "stub_net:StubNet", "num_classes": 12}
    shape = data["in.image"].shape
    model = build("model", arch, image_shape=shape[-3:], allow_import=["stub_net"])
    load(model, data, "init")
    loss = build("loss", params["Loss"]["Train"])
    optimizer = build(
        "optimizer",
        params["Optimizer"],
        model=model,
        loss=loss,
        epochs=params["_epochs"],
        steps_per_epoch=params["_steps_per_epoch"],
    )
    images = torch.from_numpy(data["in.image"]).float()
    labels = torch.from_numpy(data["in.label"])
    held_out = torch.from_numpy(data["in.eval_image"]).float()
    steps = len(images)
    model.eval()
    for key, value in model(held_out).items():
        assert measure(value, data[f"out.eval0.{key}"]) < tolerance["out.eval0"], key
    model.train()
    for step in range(steps):
        output = model(images[step], labels[step])
        terms = loss(output, labels[step])
        if step == 0:
            for key, value in output.items():
                assert measure(value, data[f"out.train0.{key}"]) < tolerance["out.train0"], key
        for name, value in terms.items():
            recorded = data[f"loss.{name}"][step]
            assert measure(value, recorded) < tolerance["loss_final"], (step, name)
        terms["loss"].backward()
        if step == 0:
            for name, parameter in model.named_parameters():
                expected = to_ours(name, data[f"grad0.{recorded_name(name)}"])
                assert measure(parameter.grad, expected.numpy()) < tolerance["grad0"], name
        assert optimizer.learning_rate(step) == pytest.approx(data["lr"][step].item(), rel=1e-6)
        optimizer.step(step)
    for name, value in model.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            expected = to_ours(name, data[f"final.{recorded_name(name)}"])
            assert measure(value, expected.numpy()) < tolerance["final"], name
    model.eval()
    for key, value in model(held_out).items():
        assert measure(value, data[f"out.eval1.{key}"]) < tolerance["out.eval1"], key
