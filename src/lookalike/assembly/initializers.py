"""What ``weight_attr.initializer`` and ``bias_attr.initializer`` may name: ways to fill a tensor.

PyTorch's own are used where the reference's are the same; the others differ in what they call the
fans of a vector, or in taking them from outside.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

Nonlinearity = Literal[
    "linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu",
]  # fmt: skip
Mode = Literal["fan_in", "fan_out"]


def _fans(tensor: Tensor) -> tuple[int, int]:
    area = math.prod(tensor.shape[2:])
    if tensor.ndim < 2:
        return tensor.shape[0], tensor.shape[0]
    return tensor.shape[1] * area, tensor.shape[0] * area


def constant(tensor: Tensor, value: float = 0.0) -> None:
    """Fill with one value."""
    tensor.fill_(value)


def normal(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> None:
    """Draw from a normal distribution."""
    tensor.normal_(mean, std)


def truncated_normal(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> None:
    """Draw from a normal distribution without what lies outside of [a, b]."""
    nn.init.trunc_normal_(tensor, mean, std, a, b)


def uniform(tensor: Tensor, low: float = -1.0, high: float = 1.0) -> None:
    """Draw from an interval."""
    tensor.uniform_(low, high)


def _xavier_std(tensor: Tensor, fan_in: float | None, fan_out: float | None, gain: float) -> float:
    own_in, own_out = _fans(tensor)
    total = (own_in if fan_in is None else fan_in) + (own_out if fan_out is None else fan_out)
    return gain * math.sqrt(2.0 / total)


def xavier_normal(
    tensor: Tensor, fan_in: float | None = None, fan_out: float | None = None, gain: float = 1.0
) -> None:
    """Normal with variance gain^2 * 2 / (fan in + fan out) (Glorot and Bengio, AISTATS 2010)."""
    tensor.normal_(0.0, _xavier_std(tensor, fan_in, fan_out, gain))


def xavier_uniform(
    tensor: Tensor, fan_in: float | None = None, fan_out: float | None = None, gain: float = 1.0
) -> None:
    """Uniform within gain * the square root of 6 / (fan in + fan out)."""
    bound = math.sqrt(3.0) * _xavier_std(tensor, fan_in, fan_out, gain)
    tensor.uniform_(-bound, bound)


def _kaiming_std(
    tensor: Tensor, fan_in: float | None, slope: float, nonlinearity: Nonlinearity, mode: Mode
) -> float:
    own_in, own_out = _fans(tensor)
    fan = own_out if mode == "fan_out" else own_in if fan_in is None else fan_in
    return nn.init.calculate_gain(nonlinearity, slope) / math.sqrt(fan)


def kaiming_normal(
    tensor: Tensor,
    fan_in: float | None = None,
    negative_slope: float = 0.0,
    nonlinearity: Nonlinearity = "relu",
    mode: Mode = "fan_in",
) -> None:
    """Normal with standard deviation gain / sqrt(fan) (He et al., ICCV 2015, eq. 10)."""
    tensor.normal_(0.0, _kaiming_std(tensor, fan_in, negative_slope, nonlinearity, mode))


def kaiming_uniform(
    tensor: Tensor,
    fan_in: float | None = None,
    negative_slope: float = 0.0,
    nonlinearity: Nonlinearity = "relu",
    mode: Mode = "fan_in",
) -> None:
    """Uniform within gain * sqrt(3 / fan)."""
    bound = math.sqrt(3.0) * _kaiming_std(tensor, fan_in, negative_slope, nonlinearity, mode)
    tensor.uniform_(-bound, bound)


def orthogonal(tensor: Tensor, gain: float = 1.0) -> None:
    """Orthonormal rows or columns, times gain (Saxe et al., ICLR 2014)."""
    nn.init.orthogonal_(tensor, gain)


def dirac(tensor: Tensor, groups: int = 1) -> None:
    """A convolution that hands its input on."""
    nn.init.dirac_(tensor, groups)


def assign(tensor: Tensor, value: list[Any]) -> None:
    """Copy numbers; a matrix is written as PaddleClas stores it, ``[inputs, outputs]``.

    Raises:
        ValueError: If the shapes differ.

    Example:
        >>> weight = torch.zeros(3, 1)
        >>> assign(weight, [[1.0, 2.0, 3.0]])
        >>> weight.tolist()
        [[1.0], [2.0], [3.0]]
    """
    values = torch.tensor(value, dtype=tensor.dtype)
    values = values.T if values.ndim == 2 else values
    if values.shape != tensor.shape:
        wanted = list(tensor.T.shape if tensor.ndim == 2 else tensor.shape)
        raise ValueError(
            f"Assign: {wanted} numbers expected, got {list(torch.tensor(value).shape)}."
        )
    tensor.copy_(values)


INITIALIZERS: dict[str, Callable[..., None]] = {
    "Assign": assign,
    "Constant": constant,
    "Dirac": dirac,
    "KaimingNormal": kaiming_normal,
    "KaimingUniform": kaiming_uniform,
    "Normal": normal,
    "Orthogonal": orthogonal,
    "TruncatedNormal": truncated_normal,
    "Uniform": uniform,
    "XavierNormal": xavier_normal,
    "XavierUniform": xavier_uniform,
}
