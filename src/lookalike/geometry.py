"""Directions of embeddings: what heads, losses and retrieval share."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.autograd.function import once_differentiable


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return float32, or float64 where that is given: sums of losses need more than half."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def unit(vectors: Tensor) -> Tensor:
    """Scale each row to length one, in float32; a zero row stays zero.

    Dividing by a tiny constant, as is usual, would give a zero row a gradient of 1e12 times the
    incoming one. Here such a row is passed on as it is, so its gradient is the incoming one.

    Args:
        vectors: ``[N, D]`` of any floating type; double stays double.

    Example:
        >>> unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    vectors = at_least_float32(vectors)
    norms = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    return vectors / torch.where(norms > 1e-12, norms, 1.0)


def cosines(embeddings: Tensor, weight: Tensor) -> Tensor:
    """Return the cosine of every embedding ``[B, D]`` with every class weight ``[C, D]``.

    Half precision would leave no digits for a margin, so autocast is off in here. It can be
    differentiated once, not twice.

    Returns:
        ``[B, C]`` float32 (float64 if given that).

    Example:
        >>> cosines(torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 1.0], [0.0, 3.0]]))
        tensor([[0.7071, 0.0000]])
    """
    with torch.autocast(embeddings.device.type, enabled=False):
        directions, weight = unit(embeddings), at_least_float32(weight)
        if not torch.is_grad_enabled():
            return F.linear(directions, weight) * _inverse_lengths(weight)
        cosine: Tensor = _Cosines.apply(directions, weight)
        return cosine


def _inverse_lengths(weight: Tensor) -> Tensor:
    lengths = torch.linalg.vector_norm(weight, dim=1)
    return 1.0 / torch.where(lengths > 1e-12, lengths, 1.0)


class _Cosines(torch.autograd.Function):
    """Cosines whose gradient is written down.

    Of many classes the weights are the largest tensor of a step, and autograd would make and keep
    several of their size: here the products are divided by the lengths, not the weights. The
    gradient of a weight is ``sum_b g_b (e_b - cos_b w / |w|) / |w|``.
    """

    @staticmethod
    def forward(ctx: Any, directions: Tensor, weight: Tensor) -> Tensor:
        inverse = _inverse_lengths(weight)
        cosine = F.linear(directions, weight).mul_(inverse)
        ctx.save_for_backward(directions, weight, inverse, cosine)
        return cosine

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        directions, weight, inverse, cosine = ctx.saved_tensors
        scaled = gradients[0] * inverse
        to_directions, to_weight = ctx.needs_input_grad
        by_weight = None
        if to_weight:
            along = (scaled * cosine).sum(dim=0) * inverse
            by_weight = torch.addmm(weight * -along[:, None], scaled.T, directions)
        return scaled @ weight if to_directions else None, by_weight
