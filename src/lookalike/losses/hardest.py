"""The hardest positive and the hardest negative of every anchor, as places in the batch.

The search needs no gradient: a loss of the hardest pairs touches just these, so it computes them
anew from the embeddings, which also keeps the digits of small distances. Of pairs that are equally
hard one is taken, where a maximum over the row would share the gradient among them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lookalike.geometry import first_derivative_only, unit
from lookalike.losses.directions import turn_
from lookalike.losses.pair_gradient import blocks, similarities
from lookalike.losses.partners import Partners


def hardest_squared(
    features: Tensor, partners: Partners, *, normalize: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the squared distances of each anchor to its farthest positive and nearest negative.

    Without a positive it is to the anchor itself; without a negative to any other.

    Args:
        features: ``[B, D]``.
        partners: Of the batch with itself.
        normalize: Take the features' directions.

    Example:
        >>> features, labels = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1])
        >>> [side.tolist() for side in hardest_squared(features, Partners(labels))]
        [[1.0, 1.0, 0.0], [9.0, 4.0, 4.0]]
    """
    far, near = _HardestSquared.apply(features, partners, normalize)
    return far, near


class _HardestSquared(torch.autograd.Function):
    """Two pairs for each embedding, so the gradient is a few passes over [B, D]."""

    @staticmethod
    def forward(
        ctx: Any, given: Tensor, partners: Partners, normalize: bool
    ) -> tuple[Tensor, Tensor]:
        features = unit(given) if normalize else given
        # about their mean: changes no distance but keeps its digits
        moved = features - features.mean(dim=0)
        # -d^2 / 2 but for the anchor's own length, which is the same in all its row
        half = torch.linalg.vector_norm(moved, dim=1).square() / 2.0
        places = _search(moved, None, partners, half, own=False)
        steps = [features.index_select(0, at).sub_(features) for at in places]
        ctx.normalize = normalize
        ctx.save_for_backward(given, features, *places, *steps)
        far, near = (torch.linalg.vector_norm(step, dim=1).square() for step in steps)
        return far, near

    @staticmethod
    @first_derivative_only
    def backward(ctx: Any, to_far: Tensor, to_near: Tensor) -> tuple[Tensor, None, None]:
        given, features, farthest, nearest, far_steps, near_steps = ctx.saved_tensors
        pulls = far_steps * (2.0 * to_far[:, None])
        gradient = (-pulls).index_add_(0, farthest, pulls)
        torch.mul(near_steps, 2.0 * to_near[:, None], out=pulls)
        gradient.sub_(pulls).index_add_(0, nearest, pulls)
        return turn_(gradient, features, given) if ctx.normalize else gradient, None, None


def hardest_similarities(
    features: Tensor, others: Tensor | None, partners: Partners
) -> tuple[Tensor, Tensor]:
    """Return the inner products of each anchor with its hardest positive and negative.

    In the batch an anchor is a positive of itself, among others it is not. Without a positive or a
    negative it is any pair's.

    Args:
        features: ``[A, D]``.
        others: ``[B, D]``; the anchors themselves if None.
        partners: Of the anchors with the others.
    """
    least, most = _search(features.detach(), others, partners, None, own=others is None)
    others = features if others is None else others
    positive, negative = (
        (features * others.index_select(0, at)).sum(dim=1) for at in (least, most)
    )
    return positive, negative


@torch.no_grad()
def _search(
    anchors: Tensor, others: Tensor | None, partners: Partners, less: Tensor | None, *, own: bool
) -> tuple[Tensor, Tensor]:
    pairs = similarities(anchors, others)
    positives, negatives = (partners.num_same.new_empty(len(anchors)) for _ in range(2))
    for part in blocks(pairs):
        block = pairs[part] if less is None else pairs[part].sub_(less)
        near = partners.of(part)
        similar = near.read(block)
        similar.masked_fill_(~(near.same if own else near.positive), torch.inf)
        least = similar.argmin(dim=1, keepdim=True)
        positives[part] = near.columns.gather(1, least)[:, 0]
        negatives[part] = near.fill_(block, -torch.inf).argmax(dim=1)
    return positives, negatives
