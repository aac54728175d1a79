"""PaddleClas from its package: 2.4.0 is the last that carries losses, samplers and transforms."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Any

import paddle

from benchmarks.speed.plan import Where


def _on_path() -> None:
    found = find_spec("paddleclas")
    if found is None or found.origin is None:
        raise ImportError("not installed: paddleclas")
    folder = os.path.dirname(found.origin)
    if not os.path.isdir(os.path.join(folder, "ppcls", "loss")):
        raise ImportError("this paddleclas has no losses; 2.4.0 has")
    if folder not in sys.path:
        sys.path.insert(0, folder)


_on_path()
from ppcls.utils import logger  # noqa: E402

logger.init_logger()  # its builders write to it without asking whether it is there


def start(where: Where) -> None:
    """Choose the device and seed; a device that is not there is an error."""
    if where.device != "cpu" and not paddle.device.is_compiled_with_cuda():
        raise NotImplementedError("this paddle runs on the CPU only")
    paddle.set_device("gpu" if where.device == "cuda" else "cpu")
    paddle.seed(where.seed)


def momentum(layers: list[Any]) -> Any:
    """Build the optimiser as its trainer does."""
    from ppcls.optimizer import build_optimizer

    config = {
        "name": "Momentum",
        "momentum": 0.9,
        "lr": {"learning_rate": 0.01},
        "regularizer": {"name": "L2", "coeff": 0.0005},
    }
    return build_optimizer(config, 1, 1, layers)[0][0]
