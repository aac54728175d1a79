"""Directions of embeddings and their gradients: what heads, losses and retrieval share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

_SHORT = 1e-12  # a length below which a vector is as good as zero in training


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return float32, or float64 where that is given: sums of losses need more than half."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def unit(vectors: Tensor) -> Tensor:
    """Scale each row to length one, in float32; a zero row stays zero.

    The result does not depend on the scale of a row, as long as its numbers are finite: where the
    squares of the numbers would overflow or vanish, the row is divided by its largest number first.
    All other rows are computed as if there were no such case, to the bit.

    The gradient of a row of a length up to 1e-12 is the incoming one. The true one would be 1e12
    times as large or more, and end a training run.

    Args:
        vectors: ``[N, D]`` of any floating type; double stays double.

    Example:
        >>> unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
        >>> unit(torch.tensor([[3e30, 4e30], [3e-30, 4e-30]]))
        tensor([[0.6000, 0.8000],
                [0.6000, 0.8000]])
    """
    vectors = at_least_float32(vectors)
    norms = torch.linalg.vector_norm(vectors, dim=-1)
    if _on_cpu_now(norms) and bool(((norms > _SHORT) & (norms < torch.inf)).all()):
        directions: Tensor = vectors / norms[:, None]
        return directions
    return _unit_of_any_scale(vectors, norms.detach()[:, None])


def _on_cpu_now(tensor: Tensor) -> bool:
    """Tell whether a value may be looked at: that waits on a GPU, and cuts what is compiled."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def _unit_of_any_scale(vectors: Tensor, norms: Tensor) -> Tensor:
    """Return the unit vectors, rows whose squares overflow or vanish included.

    Args:
        vectors: ``[N, D]``.
        norms: ``[N, 1]``, as far as they can be computed directly.
    """
    largest = vectors.detach().abs().amax(dim=-1, keepdim=True)
    vectors = vectors / torch.where((norms == torch.inf) & (largest < torch.inf), largest, 1.0)
    short = (norms <= _SHORT) & (largest > 0.0)
    scaled = vectors.detach() / torch.where(short, largest, 1.0)
    ones = scaled / lengths(scaled)[..., None]
    # of a short row the value is the unit vector, the gradient that of the row itself
    passed_on = vectors - vectors.detach() + ones
    return torch.where(short, passed_on, vectors / lengths(vectors)[..., None])


def lengths(vectors: Tensor) -> Tensor:
    """Return the length of each vector ``[..., D]``; 1 for one of a length up to 1e-12.

    Example:
        >>> lengths(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [5.0, 1.0]
    """
    norms = torch.linalg.vector_norm(vectors, dim=-1)
    return torch.where(norms > _SHORT, norms, 1.0)


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
            return F.linear(directions, weight) * (1.0 / lengths(weight))
        cosine: Tensor = _Cosines.apply(directions, weight)
        return cosine


def first_derivative_only(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse a graph of the backward pass, whose second derivatives would lack these in silence.

    Raises:
        RuntimeError: In the backward pass, if it is asked for with ``create_graph``.
    """

    @wraps(backward)
    def checked(ctx: Any, *gradients: Any) -> Any:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "this can be differentiated once, not twice; leave out create_graph=True."
            )
        return backward(ctx, *gradients)

    return checked


class _Cosines(torch.autograd.Function):
    """Cosines whose gradient is written down.

    Of many classes the weights are the largest tensor of a step, and autograd would make and keep
    several of their size: here the products are divided by the lengths, not the weights. The
    gradient of a weight is ``sum_b g_b (e_b - cos_b w / |w|) / |w|``.
    """

    @staticmethod
    def forward(ctx: Any, directions: Tensor, weight: Tensor) -> Tensor:
        inverse = 1.0 / lengths(weight)
        cosine = F.linear(directions, weight).mul_(inverse)
        ctx.save_for_backward(directions, weight, inverse, cosine)
        return cosine

    @staticmethod
    @first_derivative_only
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        directions, weight, inverse, cosine = ctx.saved_tensors
        scaled = gradients[0] * inverse
        to_directions, to_weight = ctx.needs_input_grad
        by_weight = None
        if to_weight:
            along = (scaled * cosine).sum(dim=0) * inverse
            by_weight = torch.addmm(weight * -along[:, None], scaled.T, directions)
        return scaled @ weight if to_directions else None, by_weight
