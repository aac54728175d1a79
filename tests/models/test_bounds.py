"""Necks and heads at and beyond the bounds of what they compute with."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lookalike import build
from lookalike.losses import CrossEntropy

# --- pooling


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
def test_gem_pooling_raises_nothing_below_its_smallest_value(p):
    x = torch.tensor([[[[-4.0, 2.0], [0.0, -1.0]]], [[[-1.0, -2.0], [-3.0, -4.0]]]])
    found = build("neck", {"GeMPooling": {"in_channels": 1, "p": p, "eps": 0.5}})(x)
    expected = [((3 * 0.5**p + 2.0**p) / 4) ** (1 / p), 0.5]
    assert found.flatten().tolist() == pytest.approx(expected)


def test_gem_pooling_learns_of_positive_and_negative_maps_alike():
    neck = build("neck", {"GeMPooling": {"in_channels": 2}})
    x = torch.randn(3, 2, 4, 4, requires_grad=True)
    neck(x).sum().backward()
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(neck.p.grad)
    fixed = build("neck", {"GeMPooling": {"in_channels": 2, "learn_p": False}})
    assert not fixed.p.requires_grad
    assert fixed.p.item() == 3.0
    assert fixed.eps == 1e-6
    projected = build("neck", {"GeMPooling": {"in_channels": 2, "out_features": 5}})
    assert projected(x).shape == (3, 5)
    assert (projected.in_features, projected.out_features, fixed.out_features) == (2, 5, 2)
    with pytest.raises(ValueError, match="p must be positive"):
        build("neck", {"GeMPooling": {"in_channels": 2, "p": 0}})


# --- margins that depend on the norm


def rows_of(norms, width=3):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(len(norms), width, generator=generator, dtype=torch.float64)
    return rows / rows.norm(dim=1, keepdim=True) * torch.tensor(norms)[:, None]


@pytest.mark.parametrize("concentration", [0.333, 1.0, 10.0])
def test_the_quality_of_an_image_is_bounded_on_both_sides(concentration):
    """Norms count from 0.001 to 100, their distance from the mean from -1 to 1."""
    norms = [1e-5, 1.0, 20.0, 60.0, 100.0, 5000.0]
    spec = {"embedding_size": 3, "num_classes": 4, "m": 0.4, "h": concentration, "s": 2.0,
            "t_alpha": 0.0}  # fmt: skip
    head = build("head", {"AdaMargin": spec}).double()
    x, labels = rows_of(norms), torch.tensor([0, 1, 2, 3, 0, 1])
    weight = head.kernel.detach()
    cosine = F.normalize(x) @ F.normalize(weight).T
    expected = cosine.clamp(-1 + 1e-3, 1 - 1e-3)
    for row, (norm, label) in enumerate(zip(norms, labels.tolist(), strict=True)):
        # momentum 0: mean 20 and deviation 100 stay
        quality = (min(max(norm, 0.001), 100.0) - 20.0) / 100.001 * concentration
        quality = min(max(quality, -1.0), 1.0)
        angle = math.acos(expected[row, label]) - 0.4 * quality
        angle = min(max(angle, 1e-3), math.pi - 1e-3)
        expected[row, label] = math.cos(angle) - (0.4 + 0.4 * quality)
    torch.testing.assert_close(head(x, labels), 2.0 * expected, rtol=1e-6, atol=1e-6)


def test_running_norms_move_by_their_momentum():
    spec = {"embedding_size": 3, "num_classes": 4, "t_alpha": 0.25}
    head = build("head", {"AdaMargin": spec}).double()
    head(rows_of([10.0, 30.0]), torch.tensor([0, 1]))
    assert head.batch_mean.item() == pytest.approx(0.75 * 20 + 0.25 * 20)
    deviation = 200**0.5  # of two norms 20 apart, unbiased
    assert head.batch_std.item() == pytest.approx(0.75 * 100 + 0.25 * deviation)
    head(rows_of([60.0]), torch.tensor([0]))  # one image has no deviation
    assert head.batch_mean.item() == pytest.approx(0.75 * 20 + 0.25 * 60)
    assert head.batch_std.item() == pytest.approx(0.75 * 100 + 0.25 * deviation)


def test_the_margin_of_a_norm_stops_at_both_bounds():
    spec = {"embedding_size": 3, "class_num": 4, "lower_norm": 10.0, "upper_norm": 110.0,
            "lower_margin": 0.3, "upper_margin": 0.8, "scale": 2.0}  # fmt: skip
    head = build("head", {"MagMargin": spec}).double()
    norms, margins = [1.0, 10.0, 60.0, 110.0, 500.0], [0.3, 0.3, 0.55, 0.8, 0.8]
    labels = torch.tensor([0, 1, 2, 3, 0])
    x = rows_of(norms)
    cosine = F.normalize(x) @ F.normalize(head.weight.detach()).T
    for row, (label, margin) in enumerate(zip(labels.tolist(), margins, strict=True)):
        theta = math.acos(cosine[row, label])
        past = theta + margin > math.pi
        cosine[row, label] = (
            math.cos(theta) - margin * math.sin(margin) if past else math.cos(theta + margin)
        )
    torch.testing.assert_close(head(x, labels), 2.0 * cosine, rtol=1e-5, atol=1e-5)


# --- logits in parts


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_a_class_with_an_equal_logit_is_not_above(chunk):
    """Ranks count classes that are strictly larger; three classes have the same weight here."""
    spec = {"embedding_size": 2, "class_num": 5, "margin": 0.0, "scale": 4.0, "chunk_size": chunk}
    head = build("head", {"CosMargin": spec}).train()
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 0], [0, 1.0], [1.0, 0], [-1.0, 0], [1.0, 0]]))
    x = torch.tensor([[3.0, 0.0], [3.0, 0.0], [0.0, 2.0], [-1.0, 0.0], [3.0, 0.0]])
    labels = torch.tensor([0, 2, 0, 3, 1])
    logits = head(x, labels)
    CrossEntropy()({"logits": logits}, labels)
    assert logits.ranks.tolist() == [0, 0, 1, 0, 3]


def test_top_k_of_logits_in_parts_counts_ranks_below_k():
    from lookalike.retrieval.accuracy import TopKAccuracy

    spec = {"embedding_size": 2, "class_num": 4, "margin": 0.0, "scale": 4.0, "chunk_size": 2}
    head = build("head", {"CosMargin": spec}).train()
    with torch.no_grad():
        angles = torch.tensor(np.deg2rad([0.0, 30.0, 60.0, 90.0]), dtype=torch.float32)
        head.weight.copy_(torch.stack([angles.cos(), angles.sin()], dim=1))
    x, labels = torch.tensor([[1.0, 0.0]] * 4), torch.arange(4)
    logits = head(x, labels)
    CrossEntropy()({"logits": logits}, labels)
    assert logits.ranks.tolist() == [0, 1, 2, 3]
    found = TopKAccuracy([1, 2, 3])({"logits": logits}, labels)
    assert {name: value.item() for name, value in found.items()} == {
        "top1": 0.25, "top2": 0.5, "top3": 0.75,
    }  # fmt: skip
