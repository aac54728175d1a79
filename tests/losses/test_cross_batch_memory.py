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


@pytest.mark.parametrize("name", SPECS)
def test_the_loss_is_that_of_the_batch_against_itself_and_the_latest_embeddings(name):
    loss = build("loss", {name: SPECS[name] | XBM})
    plain = build("loss", {name: SPECS[name] | XBM | {"start_iter": 10_000}})
    latest = deque(maxlen=20)
    for step in range(9):
        features, labels = batch(step)
        found, expected = loss(features, labels), plain(features, labels)
        if step >= 2:
            unit = torch.nn.functional.normalize(features)
            latest.extend(zip(unit, labels, strict=True))
            rows, ids = zip(*latest, strict=True)
            against = _against(loss, unit, labels, torch.stack(rows), torch.stack(ids))
            expected = expected + 0.5 * against
        torch.testing.assert_close(found, expected)


def _against(loss, unit, labels, rows, ids):
    """Compute one anchor at a time, from the definition."""
    total = 0.0
    for anchor, label in zip(unit, labels, strict=True):
        similarity = rows @ anchor
        pos, neg = similarity[ids == label], similarity[ids != label]
        if hasattr(loss, "epsilon"):
            total += (1 - pos[pos < 1 - 1e-5]).sum() + neg[neg > 0.3].sum()
        else:
            total += (neg.max() - pos.min() + 0.5).clamp_min(0)
    return total / len(unit)


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
