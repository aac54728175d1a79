"""PaddleClas's model, losses and optimiser from the same sections, in a loop of its four calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import paddle

from benchmarks.speed.plan import Where
from benchmarks.speed.systems import inputs
from benchmarks.speed.systems.paddleclas_package import momentum, start
from benchmarks.speed.work import Work


def arch(sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section ``Arch``; its MobileNetV3 is cut behind the pooling, as ours."""
    resnet = sizes["backbone"] == "resnet50"
    return {
        "name": "RecModel",
        "Backbone": {
            "name": "ResNet50" if resnet else "MobileNetV3_small_x1_0",
            "pretrained": False,
        },
        "BackboneStopLayer": {"name": "avg_pool"},
        "Neck": {
            "name": "VehicleNeck",
            "in_channels": 2048 if resnet else 576,
            "out_channels": 512,
        },
        "Head": {
            "name": "ArcMargin",
            "embedding_size": 512,
            "class_num": sizes["classes"],
            "margin": 0.15,
            "scale": 32,
        },
    }


def step(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare steps as its trainer makes them."""
    from ppcls.arch import build_model
    from ppcls.loss import build_loss

    start(where)
    model = build_model({"Arch": arch(sizes)})
    losses = build_loss([{"CELoss": {"weight": 1.0}}, {"SupConLoss": {"weight": 1.0, "views": 2}}])
    optimizer = momentum([model])
    pixels, targets = inputs.images(sizes, where.seed)
    images, labels = paddle.to_tensor(pixels), paddle.to_tensor(targets.reshape(-1, 1))
    model.train()

    def call() -> dict[str, float]:
        loss = losses(model(images, labels), labels)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        return {"loss": float(loss)} if where.device == "cpu" else {}

    facts = {"parameters": sum(one.size for one in model.parameters() if one.trainable)}
    return Work(call, sizes["batch"], facts)
