"""Directions of embeddings: what heads, losses and retrieval share."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


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

    Half precision would leave no digits for a margin, so autocast is off in here.

    Returns:
        ``[B, C]`` float32 (float64 if given that).
    """
    with torch.autocast(embeddings.device.type, enabled=False):
        return F.linear(unit(embeddings), unit(weight))
