"""PaddleClas's margin head and cross-entropy, stepped as its trainer does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import paddle

from benchmarks.speed.plan import Where
from benchmarks.speed.systems import inputs
from benchmarks.speed.systems.paddleclas_package import momentum, start
from benchmarks.speed.work import Work


def arc_margin(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare the steps."""
    from ppcls.arch.gears import ArcMargin
    from ppcls.loss import CELoss

    start(where)
    head = ArcMargin(sizes["size"], sizes["classes"], margin=0.5, scale=64.0)
    loss, optimizer = CELoss(), momentum([head])
    vectors, targets = inputs.embeddings(sizes, where.seed)
    embedding = paddle.to_tensor(vectors, stop_gradient=False)
    labels = paddle.to_tensor(targets.reshape(-1, 1))
    head.train()

    def step() -> dict[str, float]:
        embedding.clear_gradient()
        found = loss(head(embedding, labels), labels)["CELoss"]
        found.backward()
        optimizer.step()
        optimizer.clear_grad()
        return {"loss": float(found)} if where.device == "cpu" else {}

    return Work(step)
