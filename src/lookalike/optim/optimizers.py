"""Optimisers under their YAML names. Each takes parameter groups and its own arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lookalike.optim.fused import can_be_fused, settled
from lookalike.optim.quick_start import SGD, Adam, AdamW
from lookalike.optim.rms_prop import RMSProp

Groups = list[dict[str, Any]]


def momentum(groups: Groups, *, momentum: float, nesterov: bool = False) -> torch.optim.Optimizer:
    """Build stochastic gradient descent with momentum; decay is added to the gradient.

    Args:
        groups: Parameters, see :func:`lookalike.optim.parameter_groups`.
        momentum: Share of the velocity that is kept.
        nesterov: Look ahead along the velocity.
    """
    fused = can_be_fused(groups)
    optimizer = SGD(groups, lr=0.0, momentum=momentum, nesterov=nesterov, fused=fused)
    return settled(optimizer)


def sgd(groups: Groups) -> torch.optim.Optimizer:
    """Build plain stochastic gradient descent.

    Args:
        groups: Parameters, see :func:`lookalike.optim.parameter_groups`.
    """
    return settled(SGD(groups, lr=0.0, fused=can_be_fused(groups)))


def adam(
    groups: Groups, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
) -> torch.optim.Optimizer:
    """Build Adam; decay is added to the gradient (Kingma and Ba, ICLR 2015, algorithm 1).

    Args:
        groups: Parameters, see :func:`lookalike.optim.parameter_groups`.
        beta1: Decay of the gradient's mean.
        beta2: Decay of the squared gradient's mean.
        epsilon: Added to the root.
    """
    betas, fused = (beta1, beta2), can_be_fused(groups)
    return settled(Adam(groups, lr=0.0, betas=betas, eps=epsilon, fused=fused))


def adamw(
    groups: Groups, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
) -> torch.optim.Optimizer:
    """Build AdamW; decay acts on the weight itself (Loshchilov and Hutter, ICLR 2019).

    Args:
        groups: Parameters, see :func:`lookalike.optim.parameter_groups`.
        beta1: Decay of the gradient's mean.
        beta2: Decay of the squared gradient's mean.
        epsilon: Added to the root.
    """
    betas, fused = (beta1, beta2), can_be_fused(groups)
    return settled(AdamW(groups, lr=0.0, betas=betas, eps=epsilon, fused=fused))


def rms_prop(
    groups: Groups,
    *,
    momentum: float = 0.0,
    rho: float = 0.95,
    epsilon: float = 1e-6,
    centered: bool = False,
) -> torch.optim.Optimizer:
    """Build RMSProp; see :class:`lookalike.optim.rms_prop.RMSProp`.

    Args:
        groups: Parameters, see :func:`lookalike.optim.parameter_groups`.
        momentum: Share of the velocity that is kept.
        rho: Decay of the mean square.
        epsilon: Added inside the root.
        centered: Subtract the squared mean of the gradient.
    """
    return RMSProp(groups, momentum=momentum, rho=rho, epsilon=epsilon, centered=centered)


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "Momentum": momentum,
    "SGD": sgd,
    "Adam": adam,
    "AdamW": adamw,
    "RMSProp": rms_prop,
}
