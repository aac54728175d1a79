"""Losses with soft or several labels against their formulas."""

import math

import pytest
import torch

from lookalike import build


def logits_and_labels(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 4, generator=generator, dtype=torch.float64).to(dtype)
    return logits, torch.randint(0, 2, (5, 4), generator=generator)


def test_multi_label_loss_is_its_formula():
    logits, labels = logits_and_labels()
    total = 0.0
    for row, targets in zip(logits.tolist(), labels.tolist(), strict=True):
        for x, y in zip(row, targets, strict=True):
            target, p = 0.8 * y + 0.2 / 4, 1 / (1 + math.exp(-x))
            total -= target * math.log(p) + (1 - target) * math.log(1 - p)
    mean = build("loss", {"MultiLabelLoss": {"epsilon": 0.2}})({"logits": logits}, labels)
    summed = build("loss", {"MultiLabelLoss": {"epsilon": 0.2, "size_sum": True}})
    assert mean.item() == pytest.approx(total / 20)
    assert summed({"logits": logits}, labels).item() == pytest.approx(total / 5)
    stacked = torch.stack([labels, labels], dim=1)
    assert torch.equal(
        build("loss", {"MultiLabelLoss": {"epsilon": 0.2}})(logits, stacked), mean
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"labels \[B, 2, C\]"):
        build("loss", {"MultiLabelLoss": {"weight_ratio": True}})(logits, labels)


@pytest.mark.parametrize("detached", [True, False])
def test_asymmetric_loss_is_its_formula(detached):
    logits, labels = logits_and_labels()
    total = 0.0
    for row, targets in zip(logits.tolist(), labels.tolist(), strict=True):
        for x, y in zip(row, targets, strict=True):
            p = 1 / (1 + math.exp(-x))
            right = p if y else min(1.0, 1 - p + 0.05)
            total -= (1 - right) ** (1 if y else 4) * math.log(right)
    spec = {"MultiLabelAsymmetricLoss": {"disable_focal_loss_grad": detached}}
    loss = build("loss", spec)
    bounded = build("loss", {"MultiLabelAsymmetricLoss": {"epsilon": 0.4, "clip": 0}})
    # epsilon bounds what the logarithm sees, not what is focused on
    assert bounded(torch.tensor([[3.0]]), torch.tensor([[1.0]])).item() == pytest.approx(
        (1 - 1 / (1 + math.exp(-3))) * math.log(1 + math.exp(-3))
    )
    assert loss(logits, labels).item() == pytest.approx(total)
    assert build(
        "loss", {"MultiLabelAsymmetricLoss": {"reduction": "mean"}}
    )(logits, labels).item() == pytest.approx(total / 20)  # fmt: skip
    if not detached:
        assert torch.autograd.gradcheck(lambda x: loss(x, labels), logits.requires_grad_())


@pytest.mark.parametrize(
    "name", ["MultiLabelLoss", "MultiLabelAsymmetricLoss", "SoftTargetCrossEntropy"]
)
@pytest.mark.parametrize("size", [0.0, 1e3])
def test_extreme_logits_stay_finite(name, size):
    logits, labels = logits_and_labels(torch.float32)
    logits = (logits.sign() * size).requires_grad_()
    spec = {name: {"disable_focal_loss_grad": False} if "Asymmetric" in name else {}}
    value = build("loss", spec)(logits, labels)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


def test_soft_targets_are_distributions():
    logits, labels = logits_and_labels()
    loss = build("loss", {"SoftTargetCrossEntropy": {}})
    assert torch.autograd.gradcheck(lambda x: loss(x, labels), logits.requires_grad_())
    with pytest.raises(ValueError, match="one target per class.*use CELoss"):
        loss(logits, torch.zeros(5))


def test_metabin_smoothing_leaves_the_true_class_without_a_share():
    logits, _ = logits_and_labels()
    labels = torch.tensor([0, 1, 2, 3, 0])
    target = torch.full((5, 4), 0.1 / 3, dtype=torch.float64)
    target[torch.arange(5), labels] = 0.9
    each = -(target * logits.log_softmax(1)).sum(1)
    for reduction, expected in (("mean", each.mean()), ("sum", each.sum()), ("none", each)):
        loss = build("loss", {"CELossForMetaBIN": {"epsilon": 0.1, "reduction": reduction}})
        torch.testing.assert_close(loss(logits, {"label": labels}), expected)
