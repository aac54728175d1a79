"""The pair losses whose gradient is written out, against the formulas left to autograd."""

import subprocess
import sys

import plain_pair_losses as plain
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike import losses
from lookalike.losses import partners
from lookalike.losses.pair_gradient import loss_of_pairs

CASES = {
    "SupCon": (losses.SupCon(), plain.sup_con),
    "SupCon, sharp": (
        losses.SupCon(temperature=0.01),
        lambda x, y: plain.sup_con(x, y, temperature=0.01),
    ),
    "SupCon, one": (
        losses.SupCon(contrast_mode="one", views=2),
        lambda x, y: plain.sup_con(x, y, every=2),
    ),
    "Circle": (losses.CircleLoss(), plain.circle),
    "MultiSimilarity": (losses.MultiSimilarityLoss(), plain.multi_similarity),
    "MultiSimilarity, all": (
        losses.MultiSimilarityLoss(epsilon=None),
        lambda x, y: plain.multi_similarity(x, y, epsilon=None),
    ),
    "PairwiseCosface": (losses.PairwiseCosface(margin=0.25, gamma=16.0), plain.cosface),
    "Contrastive": (losses.ContrastiveLoss(margin=0.3), plain.contrastive),
    "Triplet": (losses.TripletLoss(margin=0.3), plain.triplet),
    "TripletV2": (losses.TripletLossV2(margin=0.5), plain.triplet_of_directions),
    "Angular": (losses.TripletAngularMarginLoss(), plain.angular),
    "Angular, any length": (
        losses.TripletAngularMarginLoss(normalize=False),
        lambda x, y: plain.angular(x, y, normalize=False),
    ),
    "TriHard": (losses.TriHardLoss(), plain.tri_hard),
    "MSM": (losses.MSMLoss(), plain.msm),
}
every_loss = pytest.mark.parametrize("name", CASES)
# few labels, so that some batches have one only and some images are alone with theirs
batches = st.lists(st.integers(0, 4), min_size=1, max_size=12)


def points(count, seed, width=4):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator, dtype=torch.float64)


def value_and_gradient(loss, features, labels):
    features = features.clone().requires_grad_()
    value = loss(features, labels)
    (gradient,) = torch.autograd.grad(value, features)
    return value.detach(), gradient


def check(name, features, labels, **tolerance):
    mine, formula = CASES[name]
    found = value_and_gradient(mine, features, labels)
    expected = value_and_gradient(formula, features.double(), labels)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other.to(one.dtype), **tolerance)


@every_loss
@settings(max_examples=40, deadline=None)
@given(labels=batches, seed=st.integers(0, 10_000))
def test_value_and_gradient_are_those_of_the_formula(name, labels, seed):
    check(name, points(len(labels), seed), torch.tensor(labels), rtol=1e-9, atol=1e-12)


@every_loss
def test_value_and_gradient_in_single_precision(name):
    labels = torch.arange(96) % 17
    check(name, points(96, 0, width=32).float(), labels, rtol=1e-5, atol=1e-6)


@every_loss
@settings(max_examples=30, deadline=None)
@given(labels=batches, seed=st.integers(0, 10_000), data=st.data())
def test_copies_of_an_image_get_the_gradient_of_the_formula_together(name, labels, seed, data):
    # one of equally hard pairs gets the whole gradient, autograd's maximum shares it among them
    sources = data.draw(st.lists(st.integers(0, 3), min_size=len(labels), max_size=len(labels)))
    sources, labels = torch.tensor(sources), torch.tensor(labels)
    features = points(4, seed)[sources]
    mine, formula = CASES[name]
    value, gradient = value_and_gradient(mine, features, labels)
    expected_value, expected_gradient = value_and_gradient(formula, features, labels)
    # the formula's distance of copies is rounding, under a root
    torch.testing.assert_close(value, expected_value, rtol=1e-6, atol=1e-6)
    together, expected = (
        torch.zeros(4, 4, dtype=torch.float64).index_add_(0, sources, one)
        for one in (gradient, expected_gradient)
    )
    torch.testing.assert_close(together, expected, rtol=1e-6, atol=1e-6)


@every_loss
def test_several_blocks_and_tiles(name):
    labels = torch.randint(0, 90, (600,), generator=torch.Generator().manual_seed(0))
    check(name, points(600, 1, width=16), labels, rtol=1e-9, atol=1e-12)


@every_loss
def test_as_on_an_accelerator_where_no_count_is_known(name, monkeypatch):
    monkeypatch.setattr(partners, "_largest", lambda counts, bound: bound)
    labels = torch.tensor([0, 1, 1, 2, 0, 3, 2, 2, 1])
    check(name, points(9, 2), labels, rtol=1e-9, atol=1e-12)


@every_loss
def test_sharing_one_of_several_classes_is_enough(name):
    if name.startswith("SupCon"):
        pytest.skip("takes one label")
    labels = torch.tensor([[1, 0, 1], [0, 1, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]])
    check(name, points(6, 3), labels, rtol=1e-9, atol=1e-12)


@every_loss
def test_an_embedding_that_is_not_a_number_is_noticed(name):
    features = points(6, 4)
    features[2, 1] = torch.nan
    assert CASES[name][0](features, torch.tensor([0, 0, 1, 1, 2, 2])).isnan()


@pytest.mark.parametrize("name", [name for name in CASES if name != "MSM"])
def test_an_empty_batch_has_loss_zero(name):
    features = torch.zeros(0, 4, requires_grad=True)
    value = CASES[name][0](features, torch.zeros(0, dtype=torch.int64))
    value.backward()
    assert value == 0.0


@every_loss
def test_the_incoming_gradient_scales_and_may_come_twice(name):
    features, labels = points(6, 5).requires_grad_(), torch.tensor([0, 0, 1, 1, 2, 2])
    value = CASES[name][0](features, labels)
    (once,) = torch.autograd.grad(value, features, retain_graph=True)
    (thrice,) = torch.autograd.grad(3.0 * value, features)
    torch.testing.assert_close(thrice, 3.0 * once)


@pytest.mark.parametrize("name", ["SupCon", "SupCon, one", "Triplet", "TripletV2"])
def test_a_second_derivative_is_refused(name):
    features = points(4, 6).requires_grad_()
    value = CASES[name][0](features, torch.tensor([0, 0, 1, 1]))
    with pytest.raises(RuntimeError, match="once, not twice"):
        torch.autograd.grad(value, features, create_graph=True)


def test_anchors_and_others_both_get_a_gradient():
    def block_loss(block, part):
        loss = block.square().sum()
        block.mul_(2.0)
        return loss

    anchors, others = points(3, 7).requires_grad_(), points(5, 8).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: loss_of_pairs(a, b, block_loss), (anchors, others))


@every_loss
def test_nothing_of_the_size_of_all_pairs_waits_for_the_backward_pass(name):
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.append(tensor.numel()) or tensor, lambda tensor: tensor
    ):
        value = CASES[name][0](points(64, 9).requires_grad_(), torch.arange(64) % 16)
        value.backward()
    assert max(kept, default=0) <= 64 * 4


PEAK = """
import resource, sys, torch
from lookalike import losses

torch.set_num_threads(1)
loss, size = getattr(losses, sys.argv[1])(**eval(sys.argv[2])), 4096

def step(count):
    features = torch.randn(count, 8, requires_grad=True)
    loss(features, torch.arange(count) // 8).backward()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

before = step(64)
print((step(size) - before) / (4 * size * size))
"""


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("SupCon", {}),
        ("CircleLoss", {}),
        ("MultiSimilarityLoss", {}),
        ("ContrastiveLoss", {"margin": 0.3}),
        ("TripletLossV2", {}),
    ],
)
def test_peak_memory_is_one_matrix_of_all_pairs_and_some_blocks(name, args):
    command = [sys.executable, "-c", PEAK, name, repr(args)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1.5
