"""PaddleClas's data set with the same transforms, and the stacking of its loader."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.plan import Where
from benchmarks.speed.systems.input_files import chain
from benchmarks.speed.systems.paddleclas_package import start
from benchmarks.speed.work import Work


def chain_of(sizes: Mapping[str, Any], where: Where) -> Any:
    """Build its data set."""
    from ppcls.data.dataloader.vehicle_dataset import VeriWild

    folder = Path(where.folder)
    return VeriWild(str(folder / "images"), str(folder / "list.txt"), chain(sizes))


def read(sizes: Mapping[str, Any], where: Where) -> Work:
    """Read all images of the case, batch by batch."""
    start(where)
    random.seed(where.seed)
    np.random.seed(where.seed)  # noqa: NPY002 - what its transforms draw from
    dataset, batch = chain_of(sizes, where), sizes["batch"]
    # its __getitem__ returns another image where one fails, which would hide an error
    assert dataset[0][0].shape == (3, sizes["size"], sizes["size"])

    def call() -> dict[str, Any]:
        shape: tuple[int, ...] = ()
        for first in range(0, sizes["images"], batch):
            read = [dataset[number][0] for number in range(first, first + batch)]
            shape = np.stack(read).astype(np.float32, copy=False).shape
        return {"shape": "x".join(map(str, shape))}

    return Work(call, sizes["images"])
