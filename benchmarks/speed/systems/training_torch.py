"""The step in plain torch, with nothing that a loop needs beside it; and its multiplications."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.plan import Where
from benchmarks.speed.systems import inputs
from benchmarks.speed.work import Work

MARGIN, SCALE, TEMPERATURE = 0.15, 32.0, 0.07


class Plain(nn.Module):
    """Backbone, neck and margin head written out."""

    def __init__(self, sizes: Mapping[str, Any]) -> None:
        super().__init__()
        if sizes["backbone"] == "resnet50":
            whole = torchvision.models.resnet50()
            self.features, channels = nn.Sequential(*list(whole.children())[:-1]), 2048
        else:
            whole = torchvision.models.mobilenet_v3_small()
            self.features = nn.Sequential(whole.features, nn.AdaptiveAvgPool2d(1))
            channels = 576
        self.neck = nn.Sequential(nn.Conv2d(channels, 512, 1), nn.Flatten())
        self.weight = nn.Parameter(torch.randn(sizes["classes"], 512) * 0.01)

    def forward(self, pixels: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        embedding = F.normalize(self.neck(self.features(pixels)))
        cosine = embedding @ F.normalize(self.weight).T
        rows = torch.arange(len(labels), device=labels.device)
        angle = cosine[rows, labels].clamp(-1 + 1e-7, 1 - 1e-7).acos() + MARGIN
        return embedding, SCALE * cosine.index_put((rows, labels), angle.cos())


def losses(embedding: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """Return cross-entropy plus SupCon."""
    products = embedding @ embedding.T / TEMPERATURE
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    same = (labels[:, None] == labels) & ~itself
    log_share = F.log_softmax(products.masked_fill(itself, -math.inf), dim=1)
    contrast = -(log_share.masked_fill(~same, 0.0).sum(1) / same.sum(1)).mean()
    return F.cross_entropy(logits, labels) + contrast


def _loop(sizes: Mapping[str, Any], where: Where, layout: torch.memory_format, fused: bool) -> Work:
    torch.manual_seed(where.seed)
    model = Plain(sizes).to(where.device, memory_format=layout).train()
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.01, momentum=0.9, weight_decay=0.0005, fused=fused
    )
    images, targets = inputs.images(sizes, where.seed)
    pixels = torch.from_numpy(images).to(where.device, memory_format=layout)
    labels = torch.from_numpy(targets).to(where.device)
    last: list[Tensor] = []

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = losses(*model(pixels, labels), labels)
        loss.backward()
        optimizer.step()
        last[:] = [loss.detach()]

    facts = {"parameters": sum(one.numel() for one in model.parameters())}
    return Work(step, sizes["batch"], facts)


def channels_last(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare the barest loop."""
    return _loop(sizes, where, torch.channels_last, fused=True)


def channels_first(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare the loop as torch does it when nothing is asked for."""
    return _loop(sizes, where, torch.contiguous_format, fused=False)


def multiplications(sizes: Mapping[str, Any]) -> float:
    """Return the floating point operations of a step for each image.

    Three times torch's count of the forward pass: it counts the backward pass of grouped
    convolutions as if they were not grouped.
    """
    with torch.device("meta"):
        model = Plain(sizes)
        pixels = torch.empty(sizes["batch"], 3, sizes["size"], sizes["size"])
        labels = torch.zeros(sizes["batch"], dtype=torch.long)
        with FlopCounterMode(display=False) as counter:
            model(pixels, labels)
    return 3.0 * counter.get_total_flops() / sizes["batch"]


def products(sizes: Mapping[str, Any], where: Where) -> Work:
    """Multiply matrices: how many images' worth of a step's operations that is."""
    number, side = multiplications(sizes), 2048
    a, b = (torch.randn(side, side, device=where.device) for _ in range(2))
    out = torch.empty(side, side, device=where.device)
    facts = {"GFLOP an image": number / 1e9}
    return Work(lambda: torch.mm(a, b, out=out), 2 * side**3 / number, facts)
