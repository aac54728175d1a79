"""Paddle Inference with oneDNN on tensors."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import inference as paddle_inference

from benchmarks.speed.plan import Where
from benchmarks.speed.systems.paddleclas_package import start
from benchmarks.speed.systems.training_paddleclas import arch
from benchmarks.speed.work import Work


def inference(sizes: Mapping[str, Any], where: Where) -> Work:
    """Export PaddleClas's model of the same shape with random weights, and run it."""
    from ppcls.arch import build_model

    start(where)
    model = build_model({"Arch": arch({**sizes, "classes": 1000})})
    model.eval()
    size = sizes["size"]
    exported = paddle.jit.to_static(
        _Features(model),
        input_spec=[paddle.static.InputSpec([None, 3, size, size], "float32")],
        full_graph=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "inference"
        paddle.jit.save(exported, str(path))
        predictor = _predictor(path, where.threads)
    rng = np.random.default_rng(where.seed)
    batch = rng.standard_normal((sizes["batch"], 3, size, size), dtype=np.float32)
    given = predictor.get_input_handle(predictor.get_input_names()[0])
    taken = predictor.get_output_handle(predictor.get_output_names()[0])
    turns = sizes["images"] // sizes["batch"]

    def call() -> dict[str, Any]:
        for _ in range(turns):
            given.copy_from_cpu(batch)
            predictor.run()
            found = taken.copy_to_cpu()
        return {"shape": "x".join(map(str, found.shape))}

    return Work(call, turns * sizes["batch"])


class _Features(paddle.nn.Layer):  # type: ignore[misc]
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Any) -> Any:
        return self.model(images)["features"]


def _predictor(path: Path, threads: int) -> Any:
    program = next(
        candidate
        for ending in (".json", ".pdmodel")
        if (candidate := path.with_name(path.name + ending)).exists()
    )
    config = paddle_inference.Config(str(program), str(path.with_name(path.name + ".pdiparams")))
    config.disable_gpu()
    config.enable_mkldnn()
    config.set_cpu_math_library_num_threads(threads)
    config.disable_glog_info()
    return paddle_inference.create_predictor(config)
