"""Heads that keep their logits in parts, against the same heads that hold them all."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike import build
from lookalike.losses import CrossEntropy
from lookalike.optim import RowsInBackward, ScheduledOptimizer
from lookalike.retrieval.accuracy import TopKAccuracy
from lookalike.types import PartialLogits

HEADS = {
    "ArcMargin": {"margin": 0.3, "scale": 20.0},
    "CosMargin": {"margin": 0.2, "scale": 20.0},
    "CircleMargin": {"margin": 0.25, "scale": 20.0},
    "SubCenterArcMargin": {"margin": 0.3, "scale": 20.0, "num_centers": 3},
}
name_of_head = pytest.mark.parametrize("name", HEADS)


def make(name, classes=23, width=6, **extra):
    torch.manual_seed(0)
    spec = {"embedding_size": width, "class_num": classes, **HEADS[name], **extra}
    return build("head", {name: spec}).train()


def batch(size=9, classes=23, width=6, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(size, width, generator=generator, dtype=dtype, requires_grad=True)
    return x, torch.randint(classes, (size,), generator=generator)


@name_of_head
@settings(max_examples=25, deadline=None)
@given(
    chunk=st.integers(1, 30),
    smoothing=st.sampled_from([None, 0.1]),
    reduction=st.sampled_from(["mean", "sum", "none"]),
)
def test_loss_and_gradients_are_those_of_all_logits(name, chunk, smoothing, reduction):
    loss = CrossEntropy(smoothing, reduction)
    found = []
    for extra in ({}, {"chunk_size": chunk}):
        head, (x, labels) = make(name, **extra).double(), batch(dtype=torch.float64)
        value = loss({"logits": head(x, labels)}, labels)
        value.sum().backward()
        found.append((value, x.grad, head.weight.grad))
    for plain, parts in zip(*found, strict=True):
        torch.testing.assert_close(parts, plain, rtol=1e-9, atol=1e-11)


@name_of_head
def test_float32_agrees_to_five_digits(name):
    found = []
    for extra in ({}, {"chunk_size": 100}):
        head, (x, labels) = make(name, 1000, 64, **extra), batch(64, 1000, 64)
        value = CrossEntropy()({"logits": head(x, labels)}, labels)
        value.backward()
        found.append((value, x.grad, head.weight.grad))
    for plain, parts in zip(*found, strict=True):
        torch.testing.assert_close(parts, plain, rtol=1e-5, atol=1e-6)


@name_of_head
def test_gradients_are_the_slopes(name):
    head, (x, labels) = make(name, chunk_size=4).double(), batch(dtype=torch.float64)

    def loss(x, weight):
        parts = head(x, labels)
        parts.weight = weight
        return parts.cross_entropy(0.1)

    if name == "CircleMargin":  # whose paces carry no gradient by definition
        pytest.skip("its gradient is not the slope of its loss; compared with all logits above")
    assert torch.autograd.gradcheck(loss, (x, head.weight.detach().requires_grad_()))


def test_a_zero_embedding_and_a_zero_weight_are_passed_on():
    head = make("ArcMargin", chunk_size=5)
    with torch.no_grad():
        head.weight[3] = 0.0
    x, labels = torch.zeros(2, 6, requires_grad=True), torch.tensor([3, 4])
    CrossEntropy()({"logits": head(x, labels)}, labels).backward()
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(head.weight.grad).all()


def test_large_scale_does_not_overflow():
    head = make("ArcMargin", chunk_size=3)
    head.scale = 2000.0
    x, labels = batch()
    loss = CrossEntropy()({"logits": head(x, labels)}, labels)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(x.grad).all()


@name_of_head
def test_accuracy_counts_the_classes_above(name):
    head, (x, labels) = make(name, chunk_size=4), batch(200)
    plain = make(name)
    parts = head(x, labels)
    CrossEntropy()({"logits": parts}, labels)
    metric = TopKAccuracy([1, 5])
    expected = metric({"logits": plain(x, labels)}, labels)
    assert metric({"logits": parts}, labels) == expected
    assert 0 < expected["top5"] < 1


def test_accuracy_before_the_loss_says_so():
    head, (x, labels) = make("ArcMargin", chunk_size=4), batch()
    with pytest.raises(ValueError, match="CELoss"):
        TopKAccuracy()({"logits": head(x, labels)}, labels)


@name_of_head
def test_evaluation_and_no_labels_give_plain_cosines(name):
    head, (x, labels) = make(name, chunk_size=4, sample_rate=0.5), batch()
    torch.testing.assert_close(head(x), make(name)(x))
    torch.testing.assert_close(head.eval()(x, labels), make(name)(x))


def test_losses_that_need_all_logits_say_so():
    head, (x, labels) = make("ArcMargin", chunk_size=4), batch()
    output = {"logits": head(x, labels), "features": x}
    with pytest.raises(ValueError, match=r"SoftTargetCrossEntropy reads all logits.*chunk_size"):
        build("loss", "SoftTargetCrossEntropy")(output, labels)
    with pytest.raises(ValueError, match="share of the target"):
        CrossEntropy()(output, torch.rand(9, 23))


# --- sampled classes


@name_of_head
def test_sampled_classes_hold_the_batch_and_are_as_many_as_asked(name):
    head, (x, labels) = make(name, 200, sample_rate=0.2), batch(classes=200)
    seen = set()
    for _ in range(120):
        classes = head(x, labels).classes
        assert len(classes) == 40
        assert set(labels.tolist()) <= set(classes.tolist())
        assert (classes.diff() > 0).all()
        seen |= set(classes.tolist())
    assert len(seen) == 200
    crowded = make(name, 200, sample_rate=0.01)(x, labels).classes
    assert crowded.tolist() == labels.unique().tolist()


@name_of_head
def test_sampled_loss_is_the_loss_over_the_sample(name):
    centers = HEADS[name].get("num_centers", 1)
    head, (x, labels) = (
        make(name, sample_rate=0.6, chunk_size=5).double(),
        batch(dtype=torch.float64),
    )
    parts = head(x, labels)
    CrossEntropy()({"logits": parts}, labels).backward()
    few, again = make(name, len(parts.classes)).double(), x.detach().clone().requires_grad_()
    rows = (parts.classes[:, None] * centers + torch.arange(centers)).flatten()
    with torch.no_grad():
        few.weight.copy_(head.weight[rows])
    place = torch.searchsorted(parts.classes, labels)
    CrossEntropy()({"logits": few(again, place)}, place).backward()
    torch.testing.assert_close(x.grad, again.grad)
    torch.testing.assert_close(head.weight.grad[rows], few.weight.grad)
    left_out = torch.ones(len(head.weight), dtype=torch.bool)
    left_out[rows] = False
    assert (head.weight.grad[left_out] == 0).all()


def test_the_sample_follows_the_seed():
    head, (x, labels) = make("ArcMargin", 200, sample_rate=0.2), batch(classes=200)
    drawn = []
    for _ in range(2):
        torch.manual_seed(5)
        drawn.append(head(x, labels).classes)
    assert torch.equal(*drawn)


@pytest.mark.parametrize(
    ("extra", "message"),
    [({"chunk_size": 0}, "chunk_size"), ({"sample_rate": 0.0}, "sample_rate"),
     ({"sample_rate": 1.5}, "sample_rate")],
)  # fmt: skip
def test_impossible_sizes_are_refused(extra, message):
    with pytest.raises(Exception, match=message):
        make("ArcMargin", **extra)


# --- steps within the backward pass


def optimizer_of(head, **settings):
    groups = [{"params": [head.weight], "lr_multiplier": 2.0, **settings}]
    sgd = torch.optim.SGD(groups, lr=0.0, momentum=settings.pop("momentum", 0.9))
    return ScheduledOptimizer(sgd, lambda step: 0.1 / (1 + step))


@name_of_head
@pytest.mark.parametrize(
    "settings_of",
    [{}, {"weight_decay": 0.01}, {"nesterov": True, "weight_decay": 0.01}, {"momentum": 0.0},
     {"l2": 0.02}],
    ids=["momentum", "decay", "nesterov", "plain", "added decay"],
)  # fmt: skip
def test_steps_in_the_backward_pass_are_the_optimisers(name, settings_of):
    weights, states = [], []
    for inside in (False, True):
        head = make(name, chunk_size=7).double()
        optimizer = optimizer_of(head, **settings_of)
        if inside:
            head.update = RowsInBackward(optimizer, head.weight)
        for step in range(4):
            x, labels = batch(dtype=torch.float64)
            optimizer.set_rate(step)
            CrossEntropy(0.1)({"logits": head(x * (step + 1), labels)}, labels).backward()
            assert (head.weight.grad is None) == inside
            optimizer.step(step)
        weights.append(head.weight.detach())
        states.append(optimizer.optimizer.state_dict()["state"].get(0, {}))
    torch.testing.assert_close(weights[1], weights[0], rtol=1e-10, atol=1e-12)
    if (momentum := states[0].get("momentum_buffer")) is not None:
        torch.testing.assert_close(states[1]["momentum_buffer"], momentum)


def test_rows_that_were_not_drawn_rest():
    head = make("ArcMargin", 200, sample_rate=0.1, chunk_size=6)
    optimizer = optimizer_of(head, weight_decay=0.5)
    head.update = RowsInBackward(optimizer, head.weight)
    before, (x, labels) = head.weight.detach().clone(), batch(classes=200)
    optimizer.set_rate(0)
    parts = head(x, labels)
    CrossEntropy()({"logits": parts}, labels).backward()
    moved = (head.weight != before).any(dim=1)
    assert moved.nonzero().flatten().tolist() == parts.classes.tolist()


@pytest.mark.parametrize(
    "unfit",
    [lambda w: ScheduledOptimizer(torch.optim.Adam([w]), lambda s: 0.1),
     lambda w: ScheduledOptimizer(torch.optim.SGD([w]), lambda s: 0.1, clip_global_norm=1.0),
     lambda w: ScheduledOptimizer(torch.optim.SGD([{"params": [w], "l1": 0.1}]), lambda s: 0.1),
     lambda w: ScheduledOptimizer(torch.optim.SGD([torch.nn.Parameter(w + 1)]), lambda s: 0.1)],
    ids=["Adam", "clipped", "L1", "not its weight"],
)  # fmt: skip
def test_other_optimisers_do_not_fit(unfit):
    head = make("ArcMargin", chunk_size=7)
    assert RowsInBackward.fits(optimizer_of(head), head.weight)
    assert not RowsInBackward.fits(unfit(head.weight), head.weight)


def test_what_a_head_returns_is_what_losses_look_for():
    head, (x, labels) = make("ArcMargin", chunk_size=7), batch()
    assert isinstance(head(x, labels), PartialLogits)
    assert not isinstance(torch.zeros(1), PartialLogits)


MEMORY = """
import resource, sys, torch
from lookalike.losses import CrossEntropy
from lookalike.models import ArcMargin
from lookalike.optim import RowsInBackward, ScheduledOptimizer
torch.set_num_threads(1)
size, width, classes, chunk = map(int, sys.argv[1:])
head = ArcMargin(width, classes, chunk_size=chunk).train()
sgd = torch.optim.SGD([head.weight], lr=0.1, momentum=0.9)
head.update = RowsInBackward(ScheduledOptimizer(sgd, lambda step: 0.1), head.weight)
head.update._buffer().fill_(0.0)
x, labels = torch.randn(size, width, requires_grad=True), torch.randint(classes, (size,))
small = ArcMargin(width, 10, chunk_size=3).train()
CrossEntropy()({"logits": small(x, labels % 10)}, labels).backward()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
CrossEntropy()({"logits": head(x, labels)}, labels).backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_step_needs_the_memory_of_a_chunk_only():
    """All logits would be 123 MB and the gradient 123 MB, and each would be there several times."""
    size, width, classes, chunk = 256, 256, 120_000, 1024
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, *map(str, (size, width, classes, chunk))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    # cosines, logits, their comparison and derivative; rows of a chunk; the batch's own classes
    bound = 4 * (6 * size * chunk + 2 * chunk * width + 4 * size * width) + classes
    assert int(done.stdout) * 1024 < bound + 16e6


@pytest.mark.parametrize("extra", [{}, {"chunk_size": 7}])
def test_a_second_derivative_is_refused_aloud(extra):
    head, (x, labels) = make("ArcMargin", **extra), batch()
    loss = CrossEntropy()({"logits": head(x, labels)}, labels)
    with pytest.raises(RuntimeError, match="differentiated once"):
        torch.autograd.grad(loss, x, create_graph=True)
