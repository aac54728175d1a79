"""Lookalike's update of a model from the sections of the seed document."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.speed.plan import Where
from benchmarks.speed.systems import inputs
from benchmarks.speed.work import Work
from lookalike import Batch, build
from lookalike.training.precision import Precision
from lookalike.training.update import Update

LOSS = [{"CELoss": {"weight": 1.0}}, {"SupConLoss": {"weight": 1.0, "views": 2}}]
OPTIMIZER = {
    "name": "Momentum",
    "momentum": 0.9,
    "lr": {"name": "Constant", "learning_rate": 0.01},
    "regularizer": {"name": "L2", "coeff": 0.0005},
}


def arch(backbone: str, classes: int) -> dict[str, Any]:
    """Return the section ``Arch`` of a YAML."""
    name, stop, channels = {
        "resnet50": ("ResNet50", "adaptive_avg_pool2d_0", 2048),
        "mobilenet": ("torchvision.mobilenet_v3_small", "avgpool", 576),
        "alexnet": ("torchvision.alexnet", "features", 256),  # of the tests, at 64 px
    }[backbone]
    return {
        "name": "RecModel",
        "infer_output_key": "features",
        "infer_add_softmax": False,
        "Backbone": {"name": name, "pretrained": False},
        "BackboneStopLayer": {"name": stop},
        "Neck": {"name": "VehicleNeck", "in_channels": channels, "out_channels": 512},
        "Head": {
            "name": "ArcMargin",
            "embedding_size": 512,
            "class_num": classes,
            "margin": 0.15,
            "scale": 32,
        },
    }


def update(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare steps as the trainer makes them; on a CPU it looks at every loss."""
    torch.manual_seed(where.seed)
    device = torch.device(where.device)
    model = build("model", arch(sizes["backbone"], sizes["classes"])).to(
        device, memory_format=torch.channels_last
    )
    loss = build("loss", LOSS).to(device)
    optimizer = build("optimizer", OPTIMIZER, model=model, loss=loss)
    stepping = Update(model, loss, [optimizer], precision=Precision(device))
    pixels, labels = (torch.from_numpy(one) for one in inputs.images(sizes, where.seed))
    unknown = torch.full_like(labels, -1)
    batch = Batch(pixels, labels, unknown, torch.arange(len(labels)))
    stepping.train()
    number = 0

    def step() -> dict[str, float]:
        nonlocal number
        _, terms = stepping.gradients(batch.to(device), number)
        found = float(terms["loss"].detach()) if device.type == "cpu" else math.nan
        stepping.apply(number)
        number += 1
        return {} if math.isnan(found) else {"loss": found}

    facts = {"parameters": sum(one.numel() for one in model.parameters())}
    return Work(step, sizes["batch"], facts)
