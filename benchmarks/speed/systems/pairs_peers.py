"""The pair losses of PML and OML with the options that mean the same as ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.speed.plan import Where
from benchmarks.speed.systems import inputs
from benchmarks.speed.work import Work


def metric_learning(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare PML's."""
    return _work(sizes, where, _metric_learning(sizes["loss"]))


def _metric_learning(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    from pytorch_metric_learning import losses, miners
    from pytorch_metric_learning.reducers import MeanReducer

    if name == "supcon":
        return losses.SupConLoss(temperature=0.07)  # type: ignore[no-any-return]
    if name == "circle":
        return losses.CircleLoss(m=0.25, gamma=80)  # type: ignore[no-any-return]
    if name == "multi_similarity":
        return losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5)  # type: ignore[no-any-return]
    loss, miner = (
        losses.TripletMarginLoss(margin=0.5, reducer=MeanReducer()),
        miners.BatchHardMiner(),
    )
    return lambda embedding, labels: loss(embedding, labels, miner(embedding, labels))


def open_metric_learning(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare OML's; it leaves the scaling to length one to others."""
    from oml.losses import TripletLossWithMiner
    from oml.miners import HardTripletsMiner

    assert sizes["loss"] == "triplet"
    loss = TripletLossWithMiner(margin=0.5, miner=HardTripletsMiner())
    return _work(sizes, where, lambda embedding, labels: loss(F.normalize(embedding), labels))


def _work(sizes: Mapping[str, Any], where: Where, loss: Callable[[Tensor, Tensor], Tensor]) -> Work:
    vectors, targets = inputs.embeddings(sizes, where.seed)
    embedding = torch.from_numpy(vectors).to(where.device).requires_grad_()
    labels = torch.from_numpy(targets).to(where.device)

    def call() -> dict[str, float]:
        embedding.grad = None
        found = loss(embedding, labels)
        found.backward()
        assert embedding.grad is not None
        if where.device != "cpu":
            return {}
        return {"loss": float(found.detach()), "gradient": float(embedding.grad.norm())}

    return Work(call)
