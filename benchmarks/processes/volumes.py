"""Bytes that a process sends in a training step, counted where they are handed over, and computed.

What PyTorch is asked to send together is counted as a ring sends it, which is the least: of n
bytes in each of N processes, gathering sends (N - 1) n from each, reducing and scattering a whole
of n bytes (N - 1)/N n, reducing it for all twice that, and telling it from one process to all,
on average, (N - 1)/N n.
"""

# Shape letters: B = images of a process, C = classes, D = embedding, N = processes, P = parameters

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

from lookalike.losses import ContrastiveLossXBM, CrossEntropy, SupCon, WeightedSum
from lookalike.models.heads import ArcMargin
from lookalike.models.shared_batch_norm import share_statistics
from lookalike.optim import ScheduledOptimizer
from lookalike.training.update import Update
from lookalike.types import Batch

BATCH, WIDTH, CLASSES, CHANNELS = 32, 128, 5000, 64


class Model(nn.Module):
    """One layer of each kind that matters here."""

    def __init__(self, *, sharded: bool) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, CHANNELS, 3, 2), nn.BatchNorm2d(CHANNELS)
        self.embedding = nn.Linear(CHANNELS, WIDTH)
        self.head = ArcMargin(WIDTH, CLASSES, sharded=sharded, chunk_size=1000)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> dict[str, Any]:
        found = self.norm(self.convolution(images)).amax((2, 3))
        features = self.embedding(found)
        return {"features": features, "logits": self.head(features, labels)}


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the bytes that this process hands over, by operation, as a ring sends them."""
    found: Counter[str] = Counter()
    many = dist.get_world_size()

    def counting(name: str, number: Callable[..., float]) -> Any:
        original = getattr(dist, name)

        def called(*arguments: Any, **more: Any) -> Any:
            found[name] += round(number(*arguments))
            return original(*arguments, **more)

        return mock.patch.object(dist, name, called)

    share = (many - 1) / many
    with (
        counting("all_reduce", lambda t, *_: 2 * share * t.nbytes),
        counting("all_gather", lambda to, t: (many - 1) * t.nbytes),
        counting("reduce_scatter", lambda to, parts: share * sum(p.nbytes for p in parts)),
        # how PyTorch's replicas tell the buffers of the first one
        counting(
            "_broadcast_coalesced", lambda group, all_, *_: share * sum(t.nbytes for t in all_)
        ),
    ):
        yield found


def step(what: str) -> dict[str, int]:
    """Return the bytes of the second step of a model, by operation."""
    torch.manual_seed(0)
    model = Model(sharded="sharded" in what).train()
    if "norm" in what:
        share_statistics(model)
    losses: dict[str, nn.Module] = {"CE": CrossEntropy()}
    if "gather" in what:
        memory = ContrastiveLossXBM(4096, 1.0, 0, 0.5, WIDTH)
        losses["pairs"] = memory if "memory" in what else SupCon()
    loss = WeightedSum(losses, [1.0] * len(losses), ["pairs"] if "gather" in what else [])
    sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    update = Update(model, loss, [ScheduledOptimizer(sgd, lambda number: 0.1)])
    parallel = update.replicas._connected()
    update.replicas._parallel = parallel
    # so that gradients take the way that is counted
    parallel.register_comm_hook(None, allreduce_hook)
    labels = torch.arange(BATCH) // 2
    batch = Batch(torch.randn(BATCH, 3, 16, 16), labels, None, torch.arange(BATCH))
    for iteration in range(2):
        with counted() as found:
            update.gradients(batch, iteration)
            update.apply(iteration)
    return dict(found)


def formula(what: str, many: int) -> dict[str, float]:
    """Return what a step should send, by the part that sends it."""
    share, images = (many - 1) / many, many * BATCH
    replicated = 3 * 9 * CHANNELS + CHANNELS + 2 * CHANNELS + (CHANNELS + 1) * WIDTH
    found = {
        "gradients, 2 P (N-1)/N": 2 * share * 4 * replicated,
        "buffers of the first process": share * (2 * 4 * CHANNELS + 8),
    }
    if "sharded" not in what:
        found["gradients, 2 P (N-1)/N"] += 2 * share * 4 * CLASSES * WIDTH
    else:
        found["head: embeddings and their gradients, 2 B D (N-1)"] = 2 * share * 4 * images * WIDTH
        # labels; own cosine, largest logit, sum, ranks and smoothing, gradient of the loss
        found["head: labels B and 6 numbers an image"] = share * 8 * images + 2 * share * 4 * (
            6 * images + 1
        )
    if "gather" in what:
        found["gather: embeddings and their gradients, 2 B D (N-1)"] = (
            2 * share * 4 * images * WIDTH
        )
        found["gather: labels"] = share * 8 * images
    if "norm" in what:
        found["norm: 4 sums over the channels, 2 counts"] = 2 * share * 4 * (4 * CHANNELS + 2)
    return found


WHAT = (
    "replicas",
    "replicas, gather",
    "replicas, gather with a memory",
    "replicas, shared norm",
    "sharded",
    "sharded, gather",
)


def volumes() -> dict[str, dict[str, int]]:
    """Return the bytes of every kind of step."""
    return {what: step(what) for what in WHAT}
