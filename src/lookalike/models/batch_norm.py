"""Batch norms whose running variance is the reference's: that of the batch, not its estimate."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class _BiasedUpdate(nn.modules.batchnorm._BatchNorm):
    """Moves the running variance towards the batch's biased variance (divided by n).

    PyTorch divides by n - 1. The update is corrected afterwards on vectors of one number per
    channel, so it costs nothing that can be measured beside the normalisation itself.
    """

    def forward(self, features: Tensor) -> Tensor:
        updates = self.training and self.track_running_stats and self.running_var is not None
        if not updates or self.momentum is None:
            return super().forward(features)
        assert self.running_mean is not None
        assert self.running_var is not None
        self._check_input_dim(features)  # type: ignore[no-untyped-call]
        # copies, because the backward pass refuses statistics that moved after the forward pass
        mean, variance = self.running_mean.clone(), self.running_var.clone()
        output = F.batch_norm(
            features, mean, variance, self.weight, self.bias, True, self.momentum, self.eps
        )
        count = features.numel() // features.shape[1]
        with torch.no_grad():
            kept = self.running_var * (1.0 - self.momentum)
            self.running_mean.copy_(mean)
            self.running_var.copy_((variance - kept) * ((count - 1) / count) + kept)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        return output


class BatchNorm1d(_BiasedUpdate, nn.BatchNorm1d):
    """Batch norm over ``[B, C]`` with the biased update.

    Example:
        >>> norm = BatchNorm1d(1)
        >>> _ = norm(torch.tensor([[0.0], [2.0]]))
        >>> round(norm.running_mean.item(), 4), round(norm.running_var.item(), 4)
        (0.1, 1.0)
    """


class BatchNorm2d(_BiasedUpdate, nn.BatchNorm2d):
    """Batch norm over ``[B, C, H, W]`` with the biased update."""


def with_biased_update(module: nn.Module) -> nn.Module:
    """Give every batch norm inside a module the biased update; weights and buffers stay.

    Example:
        >>> model = with_biased_update(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)))
        >>> type(model[1]).__name__
        'BatchNorm2d'
    """
    for child in module.modules():
        if type(child) is nn.BatchNorm1d:
            child.__class__ = BatchNorm1d
        elif type(child) is nn.BatchNorm2d:
            child.__class__ = BatchNorm2d
    return module
