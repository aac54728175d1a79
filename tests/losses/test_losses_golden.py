"""Every loss against the recorded numbers of tests/golden: value and gradient."""

import numpy as np
import pytest
import torch
from golden_cases import arrays, assert_near, cases

from lookalike import build

# a single loss's weight is ignored there, the first of two alike is forgotten, and of a single
# loss with two terms only the first is minimised
DECIDED_OTHERWISE = (
    "CombinedLoss_single_weight_ignored",
    "CombinedLoss_same_key_twice",
    "CombinedLoss_distill_DistillationRKDLoss",
)
# steps at which the reference's memory overwrites its newest rows instead of its oldest
OVERFLOW = {
    "losses/ContrastiveLoss_XBM_sequence": (3, 4),
    "losses/TripletAngularMarginLoss_XBM_sequence": (3,),
}
DEFECTS = (
    ("losses/ContrastiveLoss", 20.40319, 0.428939),
    ("losses/ContrastiveLoss_2", 57.712986, 2.463364),
)


def inputs_of(data, prefix="in."):
    """Return the inputs by their dotted name, with gradients."""
    return {
        name.removeprefix(prefix): torch.from_numpy(value).requires_grad_()
        for name, value in data.items()
        if name.startswith(prefix) and name.removeprefix(prefix) not in ("label", "domain")
    }


def labels_of(data):
    label = torch.from_numpy(data["in.label"]) if "in.label" in data else None
    if "in.domain" in data:
        return {"label": label, "domain": torch.from_numpy(data["in.domain"])}
    return label


def nested(inputs):
    """Turn ``Student.logits`` into a dictionary in a dictionary."""
    output = {}
    for name, value in inputs.items():
        model, _, key = name.rpartition(".")
        (output.setdefault(model, {}) if model else output)[key] = value
    return output


def apply(loss, inputs, labels):
    """Call a loss on a model's output, or a plain one on its two tensors."""
    for pair in (("x", "y"), ("student", "teacher")):
        if set(inputs) == set(pair):
            return loss(*(inputs[name] for name in pair), *([] if labels is None else [labels]))
    return loss(nested(inputs), labels)


def set_parameters(loss, data):
    """Copy recorded parameters; linear weights are recorded as [in, out]."""
    for name, parameter in loss.named_parameters():
        recorded = next(
            value
            for key, value in data.items()
            if key.startswith("param.") and (key == f"param.{name}" or key.endswith(".centers"))
        )
        value = torch.from_numpy(recorded)
        parameter.data.copy_(value if value.shape == parameter.shape else value.T)


def assert_gradients(tensors, data, tolerance):
    for name, tensor in tensors.items():
        if f"grad.{name}" in data:
            expected = data[f"grad.{name}"]
            found = tensor.grad if tensor.grad.shape == expected.shape else tensor.grad.T
            assert_near(found, expected, tolerance, name)


@pytest.mark.parametrize("case", cases("loss"))
def test_loss_matches_reference(case):
    data = arrays(case)
    loss = build("loss", case["yaml"]["Loss"]["Train"][0])
    set_parameters(loss, data)
    inputs = inputs_of(data)
    value = apply(loss, inputs, labels_of(data))
    expected = next(data[name] for name in data if name.startswith("out.loss"))
    assert_near(value, expected, case["tolerance"]["forward"])
    value.sum().backward()
    tensors = {**inputs, **dict(loss.named_parameters())}
    assert_gradients(tensors, data, case["tolerance"]["grad"])


@pytest.mark.parametrize(
    "case", [case for case in cases("combined_loss") if not case.id.endswith(DECIDED_OTHERWISE)]
)
def test_weighted_sum_matches_reference(case):
    data = arrays(case)
    total = build("loss", case["yaml"]["Loss"]["Train"])
    set_parameters(total, data)
    inputs = inputs_of(data)
    terms = apply(total, inputs, labels_of(data))
    recorded = {name.removeprefix("out.loss.") for name in data if name.startswith("out.loss.")}
    assert set(terms) == recorded
    for name in terms:
        assert_near(terms[name], data[f"out.loss.{name}"], case["tolerance"]["forward"], name)
    terms["loss"].backward()
    assert_gradients(inputs, data, case["tolerance"]["grad"])
    for name, tensor in inputs.items():
        if f"grad.{name}" not in data:
            assert tensor.grad is None or not tensor.grad.any(), f"{name} must not learn"


def test_relational_distillation_logs_the_reference_terms_and_minimises_both():
    (case,) = (c for c in cases("combined_loss") if c.id.endswith("DistillationRKDLoss"))
    data, tolerance = arrays(case.values[0]), case.values[0]["tolerance"]["forward"]
    total = build("loss", case.values[0]["yaml"]["Loss"]["Train"])
    terms = apply(total, inputs_of(data), labels_of(data))
    names = ("loss_angle_0_Student_Teacher", "loss_dist_0_Student_Teacher")
    for name in names:
        assert_near(terms[name], data[f"out.loss.{name}"], tolerance)
    assert_near(terms["loss"], sum(data[f"out.loss.{name}"] for name in names), tolerance)
    assert data["out.loss.loss"] == data[f"out.loss.{names[0]}"]


@pytest.mark.parametrize("case", cases("loss_sequence"))
def test_memory_sequences_match_reference(case):
    data = arrays(case)
    loss = build("loss", case["yaml"]["Loss"]["Train"][0])
    size = loss.memory.size
    step, pushed = 0, 0
    while f"step{step}.in.features" in data:
        at = f"step{step}."
        features = torch.from_numpy(data[f"{at}in.features"]).requires_grad_()
        value = loss({"features": features}, torch.from_numpy(data[f"{at}in.label"]))
        value.backward()
        expected = next(data[name] for name in data if name.startswith(f"{at}out.loss"))
        tolerance = case["tolerance"]
        if step in OVERFLOW.get(case["id"], ()):
            assert not np.allclose(value.detach(), expected, rtol=1e-4)
        else:
            assert_near(value, expected, tolerance["forward"], f"step {step}")
            assert_near(features.grad, data[f"{at}grad.features"], tolerance["grad"], at)
        pushed += len(features) if step + 1 > loss.memory.start_iter else 0
        assert loss.memory.filled == min(pushed, size) == data[f"{at}state.visible_rows"]
        step += 1
    assert step == loss.memory.iteration


@pytest.mark.parametrize(("name", "theirs", "ours"), DEFECTS)
def test_contrastive_loss_does_not_broadcast_labels(name, theirs, ours):
    """The reference compares [B, 1] labels with a row of similarities."""
    (right,) = (c for c in cases("loss") if c.id == name.replace("Loss", "Loss_label1d", 1))
    data, spec = arrays(right.values[0]), right.values[0]["yaml"]["Loss"]["Train"][0]
    features, labels = torch.from_numpy(data["in.features"]), torch.from_numpy(data["in.label"])
    value = build("loss", spec)({"features": features}, labels[:, None])
    assert value.item() == pytest.approx(ours, rel=1e-5)
    assert theirs > 10 * ours


COLUMNS = {
    "TripletLossV2": ({"margin": 0.5}, 1.790802),
    "TripletLossV2 as it is": ({"margin": 0.3, "normalize_feature": False}, 2.099231),
    "TripletLoss": ({}, 2.799231),
    "TripletAngularMarginLoss": ({}, 2.208748),
    "TripletAngularMarginLoss absolute": (
        {"add_absolute": True, "absolute_loss_weight": 0.1, "ap_value": 0.8, "an_value": 0.4},
        2.419622,
    ),
    "TripletAngularMarginLoss_XBM": (
        {"start_iter": 0, "xbm_size": 20, "xbm_weight": 1, "feat_dim": 4},
        4.417495,
    ),
    "PairwiseCosface": ({"margin": 0.35, "gamma": 64}, 131.929718),
    "TriHardLoss": ({"batch_size": 8}, 3.517495),
    "MSMLoss": ({"batch_size": 8}, 3.602220),
    "EmlLoss": ({"batch_size": 8}, 1.478566),
    "NpairsLoss": ({}, 2.853232),
    "DSHSDLoss": ({"alpha": 0.05}, 1.873423),
    "LCDSHLoss": ({"n_class": 5, "_lambda": 3}, 0.796201),
    "DCHLoss": ({"gamma": 20, "_lambda": 0.1, "n_class": 5}, 2.757217),
    "ContrastiveLoss": ({"margin": 0.5, "embedding_size": 4}, 3.265399),
    "ContrastiveLoss_XBM": (
        {"xbm_size": 20, "xbm_weight": 1, "start_iter": 0, "margin": 0.5, "embedding_size": 4},
        6.530798,
    ),
    "CenterLoss": ({"num_classes": 5, "feat_dim": 4}, 3.907631),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_numbers_of_the_specification(name):
    """Eight sines of four, two per label; section 7 of the description of the reference."""
    features = torch.sin(0.7 * torch.arange(32.0).reshape(8, 4) + 0.3)
    weight = torch.cos(0.9 * torch.arange(20.0).reshape(4, 5))
    args, expected = COLUMNS[name]
    loss = build("loss", {name.split()[0]: args})
    if name == "CenterLoss":
        loss.centers.data.copy_(weight.T)
    labels = torch.arange(4).repeat_interleave(2)[:, None]
    value = loss({"features": features, "logits": features @ weight}, labels)
    assert value.item() == pytest.approx(expected, rel=1e-5)
