"""Initial weights the reference's layers start from, where PyTorch's own differ."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


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


def kaiming_normal(layer: nn.Conv2d | nn.Linear) -> None:
    """Normal with variance 2 / (weights of one output), offset zero (He et al., ICCV 2015).

    Unlike :func:`reference_conv`, a depth-wise kernel counts its own channel only.
    """
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def initialise_layers(
    model: nn.Module,
    *,
    conv: Callable[[nn.Conv2d], None] = reference_conv,
    linear: Callable[[nn.Linear], None] = xavier_uniform,
) -> None:
    """Draw the weights of every layer; norms start as the identity.

    Args:
        model: Any.
        conv: Draws a convolution.
        linear: Draws a linear layer.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            conv(layer)
        elif isinstance(layer, nn.Linear):
            linear(layer)
        elif isinstance(layer, _BatchNorm) and layer.affine:
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
