"""Embeddings of length one, with the gradient written out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lookalike.geometry import first_derivative_only, lengths, unit


def directions(vectors: Tensor) -> Tensor:
    """Return ``geometry.unit(vectors)``; its gradient takes a third of autograd's time.

    It can be differentiated once, not twice.

    Args:
        vectors: ``[B, D]``.

    Example:
        >>> x = torch.tensor([[0.0, 2.0], [0.0, 0.0]], requires_grad=True)
        >>> directions(x)[:, 0].sum().backward()
        >>> x.grad.tolist()
        [[0.5, 0.0], [1.0, 0.0]]
    """
    found: Tensor = _Directions.apply(vectors)
    return found


def turn_(gradient: Tensor, found: Tensor, vectors: Tensor) -> Tensor:
    """Make the gradient of directions that of their vectors, in place: ``(g - (g . u) u) / |x|``.

    What points along a direction does not change it.
    """
    along = (gradient * found).sum(dim=1, keepdim=True)
    return gradient.addcmul_(found, along, value=-1.0).div_(lengths(vectors)[:, None])


class _Directions(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor) -> Tensor:
        found = unit(vectors)
        ctx.save_for_backward(vectors, found)
        return found

    @staticmethod
    @first_derivative_only
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        vectors, found = ctx.saved_tensors
        return turn_(gradient.clone(), found, vectors)
