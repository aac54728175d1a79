"""The first batches of an epoch from the samplers of fast-reid, PML and OML."""

from __future__ import annotations

import importlib.util
import sys
import time
import types
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.speed.plan import Where
from benchmarks.speed.systems import inputs
from benchmarks.speed.work import Work

FIRST = 300


def _first(make: Callable[[], Any], batch: int, *, flat: bool) -> Work:
    """Construct, then take the first batches of an iteration begun anew in each call."""
    start = time.process_time()
    sampler = make()
    built = time.process_time() - start

    def call() -> None:
        stream: Iterable[Any] = sampler
        for _ in islice(stream, FIRST * batch if flat else FIRST):
            pass

    return Work(call, FIRST, {"construction_s": built})


def metric_learning(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare PML's sampler; it makes a list of all indices at the start of an iteration."""
    from pytorch_metric_learning.samplers import MPerClassSampler

    labels = inputs.list_labels(sizes, where.seed)
    batch = sizes["batch"]

    def make() -> Any:
        return MPerClassSampler(
            labels, sizes["per_id"], batch, length_before_new_iter=FIRST * batch
        )

    return _first(make, batch, flat=True)


def open_metric_learning(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare OML's sampler; it makes all its batches at the start of an iteration."""
    from oml.samplers import BalanceSampler

    labels = inputs.list_labels(sizes, where.seed).tolist()
    identities = sizes["batch"] // sizes["per_id"]
    start = time.process_time()
    sampler = BalanceSampler(labels, n_labels=identities, n_instances=sizes["per_id"])
    built = time.process_time() - start

    def call() -> None:
        for _ in sampler:
            pass

    return Work(call, len(sampler), {"construction_s": built})


def fast_reid(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare fast-reid's balanced sampler; an item is (path, identity, camera)."""
    sampler_class = _fast_reid_file().BalancedIdentitySampler
    labels = inputs.list_labels(sizes, where.seed).tolist()
    items = [("", label, place) for place, label in enumerate(labels)]

    def make() -> Any:
        return sampler_class(items, sizes["batch"], sizes["per_id"], seed=where.seed)

    return _first(make, sizes["batch"], flat=True)


@cache
def _fast_reid_file() -> types.ModuleType:
    """Load its file alone: the package cannot be imported beside a present torch.

    What the file takes from the rest is the rank of the process, which is 0 here.
    """
    found = importlib.util.find_spec("fastreid")
    if found is None or found.origin is None:
        raise ImportError("not installed: fastreid")
    comm = types.ModuleType("fastreid.utils.comm")
    comm.get_rank, comm.get_world_size = lambda: 0, lambda: 1  # type: ignore[attr-defined]
    package, utils = types.ModuleType("fastreid"), types.ModuleType("fastreid.utils")
    utils.comm = comm  # type: ignore[attr-defined]
    sys.modules |= {"fastreid": package, "fastreid.utils": utils, "fastreid.utils.comm": comm}
    path = Path(found.origin).parent / "data" / "samplers" / "triplet_sampler.py"
    spec = importlib.util.spec_from_file_location("fast_reid_samplers", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
