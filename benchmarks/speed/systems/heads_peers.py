"""The ArcFace losses of PML and OML, stepped as the plain head is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.speed.plan import Where
from benchmarks.speed.systems.heads_torch import MARGIN, SCALE, stepping
from benchmarks.speed.work import Work


def metric_learning(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare PML's; its margin is in degrees."""
    from pytorch_metric_learning.losses import ArcFaceLoss

    torch.manual_seed(where.seed)
    degrees = math.degrees(MARGIN)
    loss = ArcFaceLoss(sizes["classes"], sizes["size"], margin=degrees, scale=SCALE)
    loss = loss.to(where.device)
    return stepping(sizes, where, loss, list(loss.parameters()))


def open_metric_learning(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare OML's."""
    from oml.losses import ArcFaceLoss

    torch.manual_seed(where.seed)
    loss = ArcFaceLoss(sizes["size"], sizes["classes"], m=MARGIN, s=SCALE).to(where.device)
    return stepping(sizes, where, loss, list(loss.parameters()))
