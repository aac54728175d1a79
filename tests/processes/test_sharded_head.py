"""A head dealt to processes computes what one process with all classes and images does."""

import pytest
import torch
from process_group import run

from lookalike import processes
from lookalike.losses import CrossEntropy
from lookalike.models.heads import ArcMargin, CircleMargin, CosMargin, SubCenterArcMargin
from lookalike.models.sharded import Rows

CLASSES, SIZE, BATCH = 23, 16, 6
HEADS = {
    "arc": lambda **more: ArcMargin(SIZE, CLASSES, 0.3, 16.0, **more),
    "cos": lambda **more: CosMargin(SIZE, CLASSES, 0.2, 16.0, **more),
    "circle": lambda **more: CircleMargin(SIZE, CLASSES, 0.25, 16.0, **more),
    "sub-center": lambda **more: SubCenterArcMargin(SIZE, CLASSES, num_centers=3, **more),
}


def batch(number):
    """Return embeddings and labels of all processes together."""
    stream = torch.Generator().manual_seed(3)
    embeddings = torch.randn(number * BATCH, SIZE, generator=stream, dtype=torch.float64)
    return embeddings, torch.randint(0, CLASSES, (number * BATCH,), generator=stream)


def step(name, number, smoothing, **more):
    """Return the loss, the gradients and the ranks that this process sees."""
    torch.manual_seed(5)
    head = HEADS[name](**more).train().double()
    embeddings, labels = batch(number)
    size = len(labels) // processes.count()
    own = slice(processes.rank() * size, (processes.rank() + 1) * size)
    embeddings = embeddings[own].clone().requires_grad_()
    logits = head(embeddings, labels[own])
    loss = CrossEntropy(label_smoothing=smoothing)({"logits": logits}, labels[own])
    loss.backward()
    # DistributedDataParallel would divide what comes from here by the number of processes
    by_embeddings = embeddings.grad / processes.count()
    ranks = getattr(logits, "ranks", None)
    return {
        "weight": head.weight.detach(),
        "loss": loss.detach(),
        "by_weight": head.weight.grad,
        "by_embeddings": by_embeddings,
        "ranks": ranks,
    }


@pytest.mark.parametrize("number", [2, 4])
@pytest.mark.parametrize("name", sorted(HEADS))
def test_a_sharded_head_equals_the_dense_one(name, number):
    for smoothing in (0.0, 0.1):
        dense = step(name, number, smoothing)
        parts = run(step_sharded, number, name, number, smoothing)
        joined = {key: torch.cat([p[key] for p in parts]) for key in ("weight", "by_weight")}
        torch.testing.assert_close(joined["weight"], dense["weight"], rtol=0, atol=0)
        torch.testing.assert_close(joined["by_weight"], dense["by_weight"], rtol=1e-9, atol=1e-9)
        loss = torch.stack([p["loss"] for p in parts]).mean()
        torch.testing.assert_close(loss, dense["loss"], rtol=1e-9, atol=1e-9)
        by_embeddings = torch.cat([p["by_embeddings"] for p in parts])
        torch.testing.assert_close(by_embeddings, dense["by_embeddings"], rtol=1e-9, atol=1e-9)


def step_sharded(name, number, smoothing, **more):
    return step(name, number, smoothing, sharded=True, chunk_size=4, **more)


def test_ranks_are_those_of_the_process_own_images():
    whole = step("arc", 2, 0.0, chunk_size=4)["ranks"]
    parts = run(step_sharded, 2, "arc", 2, 0.0)
    assert torch.cat([p["ranks"] for p in parts]).tolist() == whole.tolist()


def test_sampling_takes_every_label_of_all_images():
    parts = run(step_sampled, 2, "arc", 2, 0.0)
    touched = torch.cat([p["by_weight"].abs().sum(1) > 0 for p in parts])
    _, labels = batch(2)
    assert touched[labels].all()
    assert touched.sum() < CLASSES


def step_sampled(name, number, smoothing):
    return step(name, number, smoothing, sharded=True, sample_rate=0.4)


@pytest.mark.parametrize("total", [1, 7, 100_003])
def test_rows_drawn_in_parts_are_those_drawn_at_once(total):
    from lookalike.models.heads.target import class_weight

    torch.manual_seed(0)
    whole = class_weight(8, total)
    for start, stop in ((0, total // 2), (total // 2, total)):
        torch.manual_seed(0)
        part = class_weight(8, total, Rows(start, stop, total))
        assert torch.equal(part, whole[start:stop])
