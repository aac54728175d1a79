"""Batch norms that see the batches of all processes."""

# Shape letters: B = batch, C = channels

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lookalike import processes
from lookalike.geometry import at_least_float32


class SharedStatistics:
    """What a batch norm gets that normalises with mean and variance over all processes.

    In training it computes what one process with the batches of all would. PyTorch's own
    ``SyncBatchNorm`` does so on GPUs only; this one runs anywhere, and sums the deviations from
    the mean instead of squares, so nothing cancels: two sums over the processes forward, two back.
    """

    def forward(self, features: Tensor) -> Tensor:
        assert isinstance(self, _BatchNorm)
        if self.training and processes.count() > 1:
            return _behind(self, _normalised(self, features))
        found: Tensor = super().forward(features)  # type: ignore[misc]
        return found


def share_statistics(model: nn.Module) -> None:
    """Let every batch norm of a model see the batches of all processes.

    Weights, statistics, names and hooks stay; only the class changes, to one derived from it.

    Example:
        >>> model = nn.Sequential(nn.BatchNorm1d(2))
        >>> share_statistics(model)
        >>> isinstance(model[0], nn.BatchNorm1d), isinstance(model[0], SharedStatistics)
        (True, True)
    """
    for module in model.modules():
        if isinstance(module, _BatchNorm) and not isinstance(module, SharedStatistics):
            module.__class__ = _shared(type(module))  # type: ignore[arg-type]


@cache
def _shared(kind: type) -> type:
    return type(kind.__name__, (SharedStatistics, kind), {})


def _normalised(norm: _BatchNorm, features: Tensor) -> Tensor:
    """Normalise ``[B, C, ...]``."""
    axes = [0, *range(2, features.ndim)]
    shape = [1, -1] + [1] * (features.ndim - 2)
    values = at_least_float32(features)
    here = values.new_tensor([values.numel() / values.shape[1]])
    sums = processes.summed(torch.cat([values.sum(axes), here]))
    number = sums[-1].detach()
    mean = sums[:-1] / number
    centred = values - mean.view(shape)
    variance = processes.summed(centred.square().sum(axes)) / number
    _move(norm, mean, variance * number / (number - 1.0))
    factor = (variance + norm.eps).rsqrt()
    if norm.affine:
        factor = factor * norm.weight
    found = centred * factor.view(shape)
    if norm.affine:
        found = found + norm.bias.view(shape)
    return found.to(features.dtype)


@torch.no_grad()
def _move(norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics as PyTorch's batch norm does."""
    if norm.running_mean is None or norm.running_var is None:
        return
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked += 1
    step = 1.0 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), step)
    norm.running_var.lerp_(variance.to(norm.running_var.dtype), step)


def _behind(norm: Any, features: Tensor) -> Tensor:
    """Apply what timm's batch norms do besides."""
    for name in ("drop", "act"):
        part = getattr(norm, name, None)
        features = features if part is None else part(features)
    return features
