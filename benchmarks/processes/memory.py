"""Memory of the processes that share a margin head, measured in real steps, and computed."""

# Shape letters: C = classes, D = embedding, N = processes, B = images of all processes

from __future__ import annotations

import time
from pathlib import Path

import torch

from lookalike import processes
from lookalike.losses import CrossEntropy
from lookalike.models.heads import ArcMargin
from lookalike.optim import RowsInBackward, ScheduledOptimizer

WIDTH, BATCH, CHUNK, STEPS = 512, 64, 1000, 2


def resident(which: str) -> int:
    """Return bytes that this process has: ``VmRSS`` now, ``VmHWM`` at most so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(which):
            return int(line.split()[1]) * 1024
    raise AssertionError(which)


def steps(classes: int, sample_rate: float) -> dict[str, float]:
    """Train a sharded head, momentum within the backward pass; return bytes beyond the start."""
    before = resident("VmRSS")
    own = slice(*(BATCH * n // processes.count() for n in (0, 1)))
    torch.manual_seed(0)
    head = ArcMargin(WIDTH, classes, sharded=True, chunk_size=CHUNK, sample_rate=sample_rate)
    head.train()
    sgd = torch.optim.SGD([head.weight], lr=0.1, momentum=0.9, weight_decay=5e-4)
    head.update = RowsInBackward(ScheduledOptimizer(sgd, lambda step: 0.1), head.weight)
    torch.manual_seed(1 + processes.rank())
    start, loss = 0.0, torch.zeros(())
    for _ in range(STEPS):
        start = time.perf_counter()
        embeddings = torch.randn(BATCH, WIDTH)[own].requires_grad_()
        labels = torch.randint(classes, (BATCH,))[own]
        loss = CrossEntropy()({"logits": head(embeddings, labels)}, labels)
        loss.backward()
    return {
        "bytes": resident("VmHWM") - before,
        "seconds": time.perf_counter() - start,
        "loss": float(loss.detach()),
        "rows": len(head.weight),
    }


def formula(classes: int, many: int) -> float:
    """Return bytes: weights and momentum of a process's classes, and what a chunk needs.

    Classes that are sampled need no less: pages of memory hold many rows, and a step writes into
    nearly all of them.
    """
    tables = 2 * 4 * classes / many * WIDTH
    # logits and what becomes of them; a chunk's weights, their gradient and momentum
    return tables + 4 * CHUNK * (4 * BATCH + 3 * WIDTH)
