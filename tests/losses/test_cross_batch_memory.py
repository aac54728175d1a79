"""The memory of earlier batches against a deque; resuming in the middle of a stream."""

from collections import deque

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike import build
from lookalike.losses.cross_batch_memory import CrossBatchMemory

SPECS = {
    "ContrastiveLoss_XBM": {"margin": 0.3, "embedding_size": 4},
    "TripletAngularMarginLoss_XBM": {"margin": 0.5, "feat_dim": 4},
}
XBM = {"xbm_size": 20, "xbm_weight": 0.5, "start_iter": 2}


def batch(step, size=6):
    """Return features and labels; label 0 is as good as any."""
    generator = torch.Generator().manual_seed(step)
    features = torch.randn(size, 4, generator=generator)
    return features, torch.randint(0, 3, (size,), generator=generator)


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 9), counts=st.lists(st.integers(1, 12), max_size=8))
def test_it_holds_what_a_deque_holds(size, counts):
    memory, expected, number = CrossBatchMemory(size, 1), deque(maxlen=size), 0
    for count in counts:
        values = torch.arange(number, number + count)
        memory.push(values[:, None].float(), values % 3)
        expected.extend(values.tolist())
        number += count
        features, labels = memory.contents()
        assert sorted(features[:, 0].tolist()) == sorted(expected)
        assert torch.equal(features[:, 0].long() % 3, labels)
        assert memory.filled == len(expected)
        assert memory.position == number % size


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("size", [1, 4, 6, 9, 20])
@pytest.mark.parametrize("name", SPECS)
def test_the_loss_is_that_of_the_batch_against_itself_and_the_latest_embeddings(
    name, size, normalize
):
    spec = SPECS[name] | XBM | {"xbm_size": size, "normalize_feature": normalize}
    loss = build("loss", {name: spec})
    plain = build("loss", {name: spec | {"start_iter": 10_000}})
    latest = deque(maxlen=size)
    for step in range(9):
        features, labels = batch(step)
        features = features if normalize else 0.4 * features  # lengths on both sides of 1
        found, expected = loss(features, labels[:, None]), plain(features, labels)
        if step >= 2:
            rows = torch.nn.functional.normalize(features) if normalize else features
            latest.extend((step, i, rows[i], labels[i]) for i in range(len(rows)))
            expected = expected + 0.5 * _against(loss, step, rows, labels, latest)
        torch.testing.assert_close(found, expected)


def _against(loss, step, rows, labels, latest):
    """Compute one anchor at a time, from the definition; an entry is known by step and place."""
    terms = []
    for i, (anchor, label) in enumerate(zip(rows, labels, strict=True)):
        others = [one for one in latest if one[:2] != (step, i)]
        pos = [float(anchor @ x) for _, _, x, y in others if y == label]
        neg = [float(anchor @ x) for _, _, x, y in others if y != label]
        if hasattr(loss, "epsilon"):
            terms.append(sum(1 - s for s in pos if s < 1 - 1e-5) + sum(s for s in neg if s > 0.3))
        elif pos and neg:
            terms.append(max(0.0, max(neg) - min(pos) + 0.5))
    return sum(terms) / max(len(terms), 1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("ContrastiveLoss_XBM", 0.0), ("TripletAngularMarginLoss_XBM", 0.49)],
)
def test_no_image_in_the_memory_is_its_own_positive(name, expected):
    """By its length it would be one: [.1, 0] has a similarity of 0.01 with itself.

    In the batch, as in the reference, the triplet loss takes an anchor for its own positive.
    """
    spec = {"margin": 0.5, "xbm_size": 8, "xbm_weight": 1.0, "start_iter": 0}
    spec |= {"embedding_size": 2, "normalize_feature": False}
    loss = build("loss", {name: spec})
    features = torch.tensor([[0.1, 0.0], [0.0, 0.1]], requires_grad=True)
    value = loss(features, torch.tensor([0, 1]))
    assert value.item() == pytest.approx(expected)
    (gradient,) = torch.autograd.grad(value, features)
    if expected == 0.0:
        assert not gradient.any()
        # nor is the same embedding of the step before
        assert loss(features, torch.tensor([0, 1])) == 0.0


@pytest.mark.parametrize("name", SPECS)
def test_a_resumed_stream_goes_on_bit_for_bit(name):
    whole, first = (build("loss", {name: SPECS[name] | XBM}) for _ in range(2))
    expected = [whole(*batch(step)) for step in range(12)]
    for step in range(5):
        first(*batch(step))
    resumed = build("loss", {name: SPECS[name] | XBM})
    resumed.load_state_dict(first.state_dict())
    assert resumed.memory.iteration == 5
    for step in range(5, 12):
        assert torch.equal(resumed(*batch(step)), expected[step])
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


@pytest.mark.parametrize("name", SPECS)
def test_evaluation_changes_nothing(name):
    loss = build("loss", {name: SPECS[name] | XBM | {"start_iter": 0}})
    loss(*batch(0))
    before = {key: value.clone() for key, value in loss.state_dict().items()}
    loss.eval()(*batch(1))
    assert all(torch.equal(value, before[key]) for key, value in loss.state_dict().items())


def test_no_gradient_enters_the_memory():
    loss = build("loss", {"ContrastiveLoss_XBM": SPECS["ContrastiveLoss_XBM"] | XBM})
    for step in range(4):
        features, labels = batch(step)
        loss(features.requires_grad_(), labels).backward()
    assert not loss.memory.features.requires_grad


def test_a_wrong_width_is_named():
    with pytest.raises(ValueError, match="embeddings have 3 numbers.*made for 4"):
        CrossBatchMemory(5, 4).push(torch.zeros(2, 3), torch.zeros(2))
    with pytest.raises(ValueError, match="positive size"):
        CrossBatchMemory(0, 4)
