"""The first batches of an epoch from PaddleClas's samplers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import islice
from types import SimpleNamespace
from typing import Any

from benchmarks.speed.plan import Where
from benchmarks.speed.systems import inputs
from benchmarks.speed.systems.paddleclas_package import start
from benchmarks.speed.work import Work

FIRST = 300


class _Listed(SimpleNamespace):
    """A data set that has labels and a length, all that a sampler asks for."""

    def __len__(self) -> int:
        return len(self.labels)


def _work(
    sizes: Mapping[str, Any], where: Where, make: Callable[[Any], Any], first: int | None
) -> Work:
    start(where)
    listed = _Listed(labels=list(inputs.list_labels(sizes, where.seed)))
    began = time.process_time()
    sampler = make(listed)
    facts = {"construction_s": time.process_time() - began}

    def call() -> dict[str, Any]:
        work.units = sum(1 for _ in islice(iter(sampler), first))
        return {} if first else {"epoch_batches": int(work.units)}

    work = Work(call, facts=facts)
    return work


def random_identity(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare the sampler of the seed document; it plans a whole epoch before its first batch."""
    from ppcls.data.dataloader.DistributedRandomIdentitySampler import (
        DistributedRandomIdentitySampler,
    )

    return _work(
        sizes,
        where,
        lambda listed: DistributedRandomIdentitySampler(
            listed, sizes["batch"], sizes["per_id"], False
        ),
        first=None,
    )


def pk(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare its other sampler, which draws batch by batch."""
    from ppcls.data.dataloader.pk_sampler import PKSampler

    return _work(
        sizes, where, lambda listed: PKSampler(listed, sizes["batch"], sizes["per_id"]), first=FIRST
    )
