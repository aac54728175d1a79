"""PaddleClas's pair losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import paddle

from benchmarks.speed.plan import Where
from benchmarks.speed.systems import inputs
from benchmarks.speed.systems.paddleclas_package import start
from benchmarks.speed.work import Work


def loss(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare value and gradient; PairwiseCosface is what it has near Circle."""
    from ppcls.loss import PairwiseCosface, SupConLoss, TripletLossV2

    start(where)
    criterion = {
        "supcon": lambda: SupConLoss(views=sizes["per_id"], temperature=0.07),
        "triplet": lambda: TripletLossV2(margin=0.5),
        "circle": lambda: PairwiseCosface(margin=0.25, gamma=80),
    }[sizes["loss"]]()
    vectors, targets = inputs.embeddings(sizes, where.seed)
    embedding = paddle.to_tensor(vectors, stop_gradient=False)
    labels = paddle.to_tensor(targets.reshape(-1, 1))

    def call() -> dict[str, float]:
        embedding.clear_gradient()
        found = next(iter(criterion({"features": embedding}, labels).values()))
        found.backward()
        if where.device != "cpu":
            return {}
        return {"loss": float(found), "gradient": float(embedding.grad.norm())}

    return Work(call)
