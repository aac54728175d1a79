"""The hardest positive and the hardest negative of every anchor, as places in the batch.

The search needs no gradient: a loss of the hardest pairs touches just these, so it computes them
anew from the embeddings, which also keeps the digits of small distances. Of pairs that are equally
hard one is taken, where a maximum over the row would share the gradient among them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lookalike.losses.pair_gradient import blocks, similarities
from lookalike.losses.partners import Partners


def farthest_and_nearest(features: Tensor, partners: Partners) -> tuple[Tensor, Tensor]:
    """Return where each anchor's farthest positive and nearest negative stand, ``[B]`` each.

    Without a positive it is the anchor itself; without a negative any place.

    Args:
        features: ``[B, D]``.
        partners: Of the batch with itself.

    Example:
        >>> features, labels = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1])
        >>> [side.tolist() for side in farthest_and_nearest(features, Partners(labels))]
        [[1, 0, 2], [2, 2, 1]]
    """
    # about their mean: changes no distance but keeps its digits
    moved = features.detach() - features.detach().mean(dim=0)
    # -d^2 / 2 but for the anchor's own length, which is the same in all its row
    return _search(moved, None, partners, moved.square().sum(dim=1) / 2.0, own=False)


def hardest_squared(features: Tensor, partners: Partners) -> tuple[Tensor, Tensor]:
    """Return the squared distances of each anchor to the two of ``farthest_and_nearest``."""
    farthest, nearest = farthest_and_nearest(features, partners)
    far: Tensor = _SquaredDistances.apply(features, farthest)
    near: Tensor = _SquaredDistances.apply(features, nearest)
    return far, near


class _SquaredDistances(torch.autograd.Function):
    """Of each embedding to one other; by hand it takes half of autograd's time."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, places: Tensor) -> Tensor:
        steps = features.index_select(0, places).sub_(features)
        ctx.save_for_backward(steps, places)
        return torch.linalg.vector_norm(steps, dim=1).square()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        steps, places = ctx.saved_tensors
        pulls = steps * (2.0 * gradient[:, None])
        return (-pulls).index_add_(0, places, pulls), None


def hardest_similarities(
    features: Tensor, others: Tensor | None, partners: Partners
) -> tuple[Tensor, Tensor]:
    """Return the inner products of each anchor with its hardest positive and negative.

    An anchor is a positive of itself. Without a positive or a negative it is any pair's.

    Args:
        features: ``[A, D]``.
        others: ``[B, D]``; the anchors themselves if None.
        partners: Of the anchors with the others.
    """
    least, most = _search(features.detach(), others, partners, None, own=True)
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
    positives, negatives = [], []
    for part in blocks(pairs):
        block = pairs[part] if less is None else pairs[part].sub_(less)
        near = partners.of(part)
        similar = near.read(block)
        similar.masked_fill_(~(near.same if own else near.positive), torch.inf)
        least = similar.argmin(dim=1, keepdim=True)
        positives.append(near.columns.gather(1, least)[:, 0])
        negatives.append(near.fill_(block, -torch.inf).argmax(dim=1))
    return torch.cat(positives), torch.cat(negatives)
