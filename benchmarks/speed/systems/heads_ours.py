"""Lookalike's margin head in the update of its trainer: dense, chunked, sampled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from benchmarks.speed.plan import Where
from benchmarks.speed.systems import inputs
from benchmarks.speed.systems.training_ours import OPTIMIZER
from benchmarks.speed.work import Work
from lookalike import Batch, EmbeddingModel, build
from lookalike.optim import RowsInBackward
from lookalike.training.precision import Precision
from lookalike.training.update import Update


def _update(sizes: Mapping[str, Any], where: Where, options: dict[str, Any]) -> Work:
    """Prepare updates of a model that is a head alone; its images are the embeddings."""
    torch.manual_seed(where.seed)
    device = torch.device(where.device)
    arguments = {"embedding_size": sizes["size"], "class_num": sizes["classes"]}
    margin = {"margin": 0.5, "scale": 64.0}
    head = build("head", {"ArcMargin": {**arguments, **margin, **options}})
    model = EmbeddingModel(nn.Flatten(), head=head).to(device)
    loss = build("loss", [{"CELoss": {"weight": 1.0}}]).to(device)
    optimizer = build("optimizer", OPTIMIZER, model=model, loss=loss)
    if head.in_parts:
        # as the trainer does where the optimiser allows it
        head.update = RowsInBackward(optimizer, head.weight)
    stepping = Update(model, loss, [optimizer], precision=Precision(device))
    vectors, targets = (torch.from_numpy(one) for one in inputs.embeddings(sizes, where.seed))
    pixels = vectors[:, :, None, None].to(device).requires_grad_()
    labels = targets.to(device)
    batch = Batch(pixels, labels, torch.full_like(targets, -1), torch.arange(len(targets)))
    stepping.train()
    number = 0

    def step() -> dict[str, float]:
        nonlocal number
        pixels.grad = None
        _, terms = stepping.gradients(batch, number)
        found = {"loss": float(terms["loss"].detach())} if device.type == "cpu" else {}
        stepping.apply(number)
        number += 1
        if pixels.grad is None:
            raise RuntimeError("the embeddings got no gradient")
        return found

    return Work(step)


def dense(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare the head whose logits are all kept."""
    return _update(sizes, where, {})


def chunked(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare the head that never keeps them."""
    return _update(sizes, where, {"chunk_size": 1000})


def sampled(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare the head that draws a tenth of the classes for each batch."""
    return _update(sizes, where, {"chunk_size": 1000, "sample_rate": 0.1})
