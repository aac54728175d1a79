"""Lookalike's sampler by a whole epoch, and the sort that such a plan needs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.speed.plan import Where
from benchmarks.speed.systems import inputs
from benchmarks.speed.work import Work
from lookalike import build


def epoch(sizes: Mapping[str, Any], where: Where) -> Work:
    """Go through the batches of an epoch; what is built from the YAML's words is a sampler."""
    labels = inputs.list_labels(sizes, where.seed).tolist()
    spec = {
        "name": "DistributedRandomIdentitySampler",
        "batch_size": sizes["batch"],
        "num_instances": sizes["per_id"],
        "drop_last": False,
        "shuffle": True,
    }
    start = time.process_time()
    sampler = build("sampler", spec, labels=labels, seed=where.seed)
    built = time.process_time() - start

    def call() -> dict[str, Any]:
        work.units = sum(1 for _ in sampler)
        return {"epoch_batches": int(work.units)}

    work = Work(call, facts={"construction_s": built})
    return work


def limit(sizes: Mapping[str, Any], where: Where) -> Work:
    """Permute the images and sort their labels: an order of an epoch cannot come from less."""
    labels = inputs.list_labels(sizes, where.seed)
    rng = np.random.default_rng(where.seed)

    def call() -> None:
        shuffled = rng.permutation(len(labels))
        shuffled[np.argsort(labels[shuffled], kind="stable")]

    batches = sizes["images"] // sizes["batch"]
    return Work(call, batches, {"epoch_batches": batches})
