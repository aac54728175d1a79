"""Initial weights the reference's layers start from, where PyTorch's own differ."""

from __future__ import annotations

import math

from torch import nn


def xavier_normal(layer: nn.Linear) -> None:
    """Normal with variance 2 / (in + out), offset zero (Glorot and Bengio, AISTATS 2010)."""
    nn.init.xavier_normal_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def reference_conv(layer: nn.Conv2d) -> None:
    """Normal with variance 2 / (kernel area * input channels), offset zero.

    The input channels are not divided by the groups; that is the reference's default.
    """
    fan = math.prod(layer.kernel_size) * layer.in_channels
    nn.init.normal_(layer.weight, std=math.sqrt(2.0 / fan))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def xavier_uniform(layer: nn.Linear) -> None:
    """Uniform within the root of 6 / (in + out), offset zero."""
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
