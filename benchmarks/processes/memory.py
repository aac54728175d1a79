"""Memory of the processes that share a margin head, measured in real steps, and computed."""

# Shape letters: C = classes, D = embedding, N = processes, B = images of all processes

from __future__ import annotations

import ctypes
import time
from pathlib import Path

import torch

from lookalike import processes
from lookalike.losses import CrossEntropy
from lookalike.models.heads import ArcMargin
from lookalike.optim import RowsInBackward, ScheduledOptimizer

WIDTH, BATCH, CHUNK, STEPS = 512, 64, 1000, 2
FEW = 4000
_MMAP_THRESHOLD = -3


def resident(which: str) -> int:
    """Return bytes that this process has: ``VmRSS`` now, ``VmHWM`` at most so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(which):
            return int(line.split()[1]) * 1024
    raise AssertionError(which)


def give_back_at_once() -> None:
    """Let the C library (glibc) keep no freed block of more than 64 KB for later."""
    ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 65536)


def measure(classes: int, sample_rate: float, keeping: bool) -> dict[str, float]:
    """Train a sharded head; return the bytes that its classes take, and what came of it.

    A head of a few classes is trained first: code and buffers that PyTorch takes for its first
    steps are not the classes'.

    Args:
        classes: C.
        sample_rate: Of the head.
        keeping: Count what the C library keeps of freed blocks as well; some MB that differ from
            process to process.
    """
    if not keeping:
        give_back_at_once()
    start = resident("VmRSS")
    steps(FEW, sample_rate)
    # the most so far begins again at what there is now (man 5 proc)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    found = steps(classes, sample_rate)
    return {"bytes": resident("VmHWM") - before, "code": before - start, **found}


def steps(classes: int, sample_rate: float) -> dict[str, float]:
    """Take training steps with momentum within the backward pass."""
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
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "loss": float(loss.detach()), "rows": len(head.weight)}


def formula(classes: int, many: int, sample_rate: float = 1.0, batch: int = BATCH) -> float:
    """Return bytes: weights and momentum of a process's classes, and what a step needs.

    Classes that are sampled need no less: pages of memory hold many rows, and a step writes into
    nearly all of them. Each class has a random key, and a place in the list they are sorted in.
    """
    tables = 2 * 4 * classes / many * WIDTH
    # one over the length of each row, by chunks and then together
    lengths = 2 * 4 * classes / many
    # logits and what becomes of them; a chunk's weights, their gradient and momentum
    step = 4 * CHUNK * (4 * batch + 3 * WIDTH)
    drawing = (4 + 16) * classes / many if sample_rate < 1.0 else 0.0
    return tables + lengths + step + drawing
