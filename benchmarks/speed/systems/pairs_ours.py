"""Lookalike's pair losses, and the products that any of them needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.speed.plan import Where
from benchmarks.speed.systems import inputs
from benchmarks.speed.work import Work
from lookalike import build

SPECS: dict[str, dict[str, Any]] = {
    "supcon": {"SupConLoss": {"views": 4, "temperature": 0.07}},
    "triplet": {"TripletLossV2": {"margin": 0.5}},
    "circle": {"CircleLoss": {"margin": 0.25, "gamma": 80.0}},
    "multi_similarity": {"MultiSimilarityLoss": {"epsilon": None}},
}


def loss(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare value and gradient."""
    criterion = build("loss", SPECS[sizes["loss"]]).to(where.device)
    vectors, targets = inputs.embeddings(sizes, where.seed)
    embedding = torch.from_numpy(vectors).to(where.device).requires_grad_()
    labels = torch.from_numpy(targets).to(where.device)

    def call() -> dict[str, float]:
        embedding.grad = None
        found = criterion({"features": embedding}, labels)
        found.backward()
        assert embedding.grad is not None
        if where.device != "cpu":
            return {}
        return {"loss": float(found.detach()), "gradient": float(embedding.grad.norm())}

    return Work(call)


def limit(sizes: Mapping[str, Any], where: Where) -> Work:
    """Multiply for the similarities and twice for the gradient."""
    vectors = torch.from_numpy(inputs.embeddings(sizes, where.seed)[0]).to(where.device)
    products = torch.empty(len(vectors), len(vectors), device=where.device)
    gradient = torch.empty_like(vectors)

    def call() -> None:
        torch.mm(vectors, vectors.T, out=products)
        torch.mm(products, vectors, out=gradient)
        torch.mm(products.T, vectors, out=gradient)

    return Work(call)
