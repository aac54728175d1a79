"""CrossEntropy, SupCon and the weighted sum: definitions, brute force, symmetries."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike import build
from lookalike.errors import ConfigError


def brute_force_sup_con(features, labels, temperature, base):
    """Equation 2 of the paper, one anchor at a time in float64."""
    x = features.double()
    x = x / x.norm(dim=1, keepdim=True)
    terms = []
    for i in range(len(x)):
        others = [j for j in range(len(x)) if j != i]
        positives = [j for j in others if labels[j] == labels[i]]
        if not positives:
            continue
        total = math.log(sum(math.exp(float(x[i] @ x[j]) / temperature) for j in others))
        inner = [float(x[i] @ x[j]) / temperature - total for j in positives]
        terms.append(-temperature / base * sum(inner) / len(inner))
    return sum(terms) / len(terms) if terms else 0.0


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=2, max_size=12),
    temperature=st.sampled_from([0.05, 0.1, 1.0]),
    seed=st.integers(0, 10_000),
)
def test_sup_con_is_the_definition_for_any_batch(labels, temperature, seed):
    features = torch.randn(len(labels), 6, generator=torch.Generator().manual_seed(seed))
    spec = {"SupConLoss": {"temperature": temperature}}
    value = build("loss", spec)({"features": features}, torch.tensor(labels))
    expected = brute_force_sup_con(features, labels, temperature, 0.07)
    assert value.item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_sup_con_does_not_depend_on_order_or_length_of_vectors():
    torch.manual_seed(0)
    features, labels = torch.randn(12, 8), torch.arange(4).repeat(3)
    loss = build("loss", {"SupConLoss": {"views": 3}})
    order = torch.randperm(12)
    stretched = features * torch.rand(12, 1).add(0.5)
    expected = loss({"features": features}, labels)
    torch.testing.assert_close(loss({"features": features[order]}, labels[order]), expected)
    torch.testing.assert_close(loss({"features": stretched}, labels), expected)


def test_sup_con_gradient_in_double():
    torch.manual_seed(0)
    loss = build("loss", {"SupConLoss": {"views": 2, "temperature": 0.5}})
    labels = torch.tensor([0, 0, 1, 1, 2])
    features = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: loss({"features": x}, labels), features)


def test_a_batch_without_pairs_has_loss_zero_and_a_gradient():
    features = torch.randn(3, 4, requires_grad=True)
    value = build("loss", {"SupConLoss": {}})({"features": features}, torch.tensor([0, 1, 2]))
    value.backward()
    assert value.item() == 0.0
    assert torch.isfinite(features.grad).all()


def test_zero_embeddings_do_not_make_nan():
    features = torch.zeros(4, 3, requires_grad=True)
    value = build("loss", {"SupConLoss": {}})({"features": features}, torch.tensor([0, 0, 1, 1]))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(features.grad).all()


def test_label_smoothing_is_its_formula():
    logits, labels = torch.randn(5, 7), torch.randint(7, (5,))
    target = torch.full((5, 7), 0.1 / 7).scatter_add(1, labels[:, None], torch.full((5, 1), 0.9))
    expected = -(target * logits.log_softmax(1)).sum(1).mean()
    value = build("loss", {"CELoss": {"epsilon": 0.1}})({"logits": logits}, labels[:, None])
    torch.testing.assert_close(value, expected)


def test_without_a_reduction_the_shape_is_the_references():
    output, labels = {"logits": torch.randn(4, 3)}, torch.tensor([0, 1, 2, 0])
    for name in ("CELoss", "CELossForMetaBIN"):
        plain = build("loss", {name: {"reduction": "none"}})(output, labels)
        smoothed = build("loss", {name: {"reduction": "none", "epsilon": 0.1}})(output, labels)
        assert (plain.shape, smoothed.shape) == ((4, 1), (4,))


def test_losses_are_logged_by_the_references_names():
    names = {
        "CELoss": "CELoss", "CELossForMetaBIN": "CELoss_2", "DCHLoss": "dchloss",
        "DSHSDLoss": "dshsdloss", "EmlLoss": "emlloss", "LCDSHLoss": "lcdshloss",
        "MSMLoss": "msmloss", "NpairsLoss": "npairsloss", "TriHardLoss": "trihardloss",
        "SoftTargetCrossEntropy": "SoftTargetCELoss", "TripletLossForMetaBIN": "TripletLoss",
        "SupConLoss": "SupConLoss",
    }  # fmt: skip
    more = {
        "DCHLoss": {"gamma": 20.0, "_lambda": 0.1, "n_class": 3},
        "DSHSDLoss": {"alpha": 0.5},
        "LCDSHLoss": {"n_class": 3, "_lambda": 3},
        "SupConLoss": {"views": 2},
    }
    total = build("loss", [{name: {"weight": 1.0, **more.get(name, {})}} for name in names])
    assert list(total.losses) == list(names.values())


def test_the_weight_of_a_single_loss_counts():
    logits, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    one = build("loss", [{"CELoss": {"weight": 1.0}}])({"logits": logits}, labels)["loss"]
    two = build("loss", [{"CELoss": {"weight": 2.0}}])({"logits": logits}, labels)["loss"]
    torch.testing.assert_close(two, 2 * one)


def test_a_loss_used_twice_keeps_both_terms():
    total = build("loss", [{"CELoss": {"weight": 1}}, {"CELoss": {"weight": 1, "epsilon": 0.5}}])
    terms = total({"logits": torch.randn(4, 3)}, torch.tensor([0, 1, 2, 0]))
    assert list(terms) == ["CELoss", "CELoss_2", "loss"]
    np.testing.assert_allclose(terms["loss"], terms["CELoss"] + terms["CELoss_2"])


def test_a_missing_output_is_named():
    with pytest.raises(ValueError, match="CELoss reads 'logits'.*Add an Arch.Head"):
        build("loss", {"CELoss": {}})({"features": torch.zeros(1, 2)}, torch.tensor([0]))


def test_an_unknown_loss_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'SupConLoss'"):
        build("loss", {"SupConLos": {}})


def test_the_magnitude_loss_by_hand_and_by_differences():
    loss = build("loss", {"MagnitudeLoss": {"lower_norm": 1.0, "upper_norm": 4.0}})
    rows = torch.tensor([[3.0, 0.0], [0.0, 0.5], [9.0, 0.0]], dtype=torch.float64)
    expected = (3 / 16 + 1 / 3 + 1 / 16 + 1 + 4 / 16 + 1 / 4) / 3
    torch.testing.assert_close(
        loss({"features": rows}, torch.arange(3)), torch.tensor(expected, dtype=torch.float64)
    )
    inside = rows[:1].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss({"features": x}, torch.arange(1)), inside)
    with pytest.raises(ConfigError, match="must rise"):
        build("loss", {"MagnitudeLoss": {"lower_norm": 5.0, "upper_norm": 4.0}})
