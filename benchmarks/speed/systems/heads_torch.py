"""ArcFace in plain torch, insightface's sampled procedure in our own words, and the limit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.speed.plan import Where
from benchmarks.speed.systems import inputs
from benchmarks.speed.work import Work

MARGIN, SCALE = 0.5, 64.0
Loss = Callable[[Tensor, Tensor], Tensor]


def arc_logits(embedding: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """Return the scaled cosines, the true class with its margin."""
    cosine = F.linear(F.normalize(embedding), F.normalize(weight))
    rows = torch.arange(len(labels), device=labels.device)
    true = cosine[rows, labels].clamp(-1 + 1e-7, 1 - 1e-7)
    moved = torch.cos(true.acos() + MARGIN)
    moved = torch.where(true > math.cos(math.pi - MARGIN), moved, true - MARGIN * math.sin(MARGIN))
    return SCALE * cosine.index_put((rows, labels), moved)


def stepping(
    sizes: Mapping[str, Any],
    where: Where,
    loss: nn.Module | Loss,
    parameters: list[Any],
    **sgd: Any,
) -> Work:
    """Prepare forward, backward and update; the embeddings get their gradient, too."""
    vectors, targets = inputs.embeddings(sizes, where.seed)
    embedding = torch.from_numpy(vectors).to(where.device).requires_grad_()
    labels = torch.from_numpy(targets).to(where.device)
    optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=0.0005, **sgd)

    def step() -> dict[str, float]:
        embedding.grad = None
        optimizer.zero_grad(set_to_none=True)
        found = loss(embedding, labels)
        found.backward()
        optimizer.step()
        return {"loss": float(found.detach())} if where.device == "cpu" else {}

    return Work(step)


def _weight(sizes: Mapping[str, Any], where: Where) -> nn.Parameter:
    torch.manual_seed(where.seed)
    shape = (sizes["classes"], sizes["size"])
    return nn.Parameter(torch.empty(shape, device=where.device).normal_(std=0.01))


def _dense(sizes: Mapping[str, Any], where: Where, *, fused: bool) -> Work:
    weight = _weight(sizes, where)

    def loss(embedding: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(arc_logits(embedding, weight, labels), labels)

    return stepping(sizes, where, loss, [weight], fused=fused)


def dense(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare the plain head with the plain optimiser."""
    return _dense(sizes, where, fused=False)


def fused(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare the plain head with the optimiser in one pass."""
    return _dense(sizes, where, fused=True)


def partial(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare Partial FC by insightface's published procedure; its package does not carry it.

    The classes of the batch and a random choice of others are taken out of the weights by their
    index, so the gradient of the weights is as large as they are, zero elsewhere, and momentum and
    decay act on all rows.
    """
    weight, rate = _weight(sizes, where), 0.1
    count = int(sizes["classes"] * rate)

    def loss(embedding: Tensor, labels: Tensor) -> Tensor:
        own = torch.unique(labels)
        chance = torch.rand(len(weight), device=weight.device)
        chance[own] = 2.0
        index = torch.topk(chance, count).indices.sort().values
        places = torch.searchsorted(index, labels)
        return F.cross_entropy(arc_logits(embedding, weight[index], places), places)

    return stepping(sizes, where, loss, [weight])


def limit(sizes: Mapping[str, Any], where: Where) -> Work:
    """Multiply for logits and both gradients, and touch weights and momentum once."""
    weight, momentum = (_weight(sizes, where).detach() for _ in range(2))
    vectors = torch.from_numpy(inputs.embeddings(sizes, where.seed)[0]).to(where.device)
    part = min(8192, len(weight))
    logits = torch.empty(len(vectors), part, device=where.device)
    gradient = torch.empty(part, vectors.shape[1], device=where.device)
    back = torch.empty_like(vectors)

    def step() -> None:
        for rows, speed in zip(weight.split(part), momentum.split(part), strict=True):
            kept = logits[:, : len(rows)]
            torch.mm(vectors, rows.T, out=kept)
            torch.mm(kept, rows, out=back)
            torch.mm(kept.T, vectors, out=gradient[: len(rows)])
            speed.mul_(0.9)
            rows.add_(speed, alpha=-1e-9)

    return Work(step)
