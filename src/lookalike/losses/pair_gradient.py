"""A loss of all pairs of a batch whose gradient is written over the similarities themselves.

Autograd would keep every [A, B] step of a loss and walk back through each. A loss of similarities
has a short derivative, so each loss gives it, and the matrix in which the similarities arrived
becomes the derivative G. The gradient of the embeddings is then ``(G + G^T) x``: two matrix
products in all instead of three, and nothing of the size [A, B] outlives the forward pass.
"""

# Shape letters: A = anchors, B = embeddings they are paired with, R = anchors in a block, D = width

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lookalike.geometry import first_derivative_only, unit
from lookalike.losses.directions import turn_
from lookalike.losses.pairs import NOTHING

# A loss of a block: reads similarities [R, B] of the anchors of the slice, returns its part of
# the loss, and leaves in their place the derivative of that part.
BlockLoss = Callable[[Tensor, slice], Tensor]

_TILE = 256  # edge of what is transposed or multiplied at once, so that it stays in the cache


def loss_of_pairs(
    anchors: Tensor, others: Tensor | None, block_loss: BlockLoss, *, normalize: bool = False
) -> Tensor:
    """Return the sum of a loss over all anchors, given what it is for a block of them.

    It can be differentiated once, not twice.

    Args:
        anchors: ``[A, D]``.
        others: ``[B, D]``; the anchors themselves if None.
        block_loss: See ``BlockLoss``.
        normalize: Take the anchors' directions; only where they are the others too.

    Example:
        >>> def squares(block, part):
        ...     total = block.square().sum()
        ...     block.mul_(2.0)
        ...     return total
        >>> x = torch.tensor([[1.0], [2.0]], requires_grad=True)
        >>> loss_of_pairs(x, None, squares).backward()
        >>> x.grad.flatten().tolist()
        [20.0, 40.0]
    """
    assert others is None or not normalize
    others = None if others is None else others.to(anchors.dtype)
    loss: Tensor = _LossOfPairs.apply(anchors, others, block_loss, normalize)
    return loss


def blocks(pairs: Tensor) -> Iterator[slice]:
    """Cut a matrix into rows whose temporaries stay in the cache, or in reason."""
    num_rows, num_columns = pairs.shape
    elements = 2**18 if pairs.device.type == "cpu" else 2**22
    size = max(1, elements // max(num_columns, 1))
    for start in range(0, num_rows, size):
        yield slice(start, min(start + size, num_rows))


def softmax_(values: Tensor, kept: Tensor | None = None) -> Tensor:
    """Turn rows into their softmax in place; return log(sum(exp)) of each, ``[R, 1]``.

    Of a row of nothing but -inf all shares are 0, and the logarithm is ``NOTHING``.

    Args:
        values: ``[R, N]``.
        kept: ``[R, N]`` of 0 and 1, what counts; must contain the largest value of a row or none.

    Example:
        >>> values = torch.tensor([[0.0, 0.0], [-torch.inf, -torch.inf]])
        >>> softmax_(values)[0].item(), values.tolist()
        (0.6931471824645996, [[0.5, 0.5], [0.0, 0.0]])
    """
    largest = values.amax(dim=1, keepdim=True).clamp_min(NOTHING)
    values.sub_(largest).exp_()
    if kept is not None:
        values.mul_(kept)
    total = values.sum(dim=1, keepdim=True)
    empty = total == 0.0
    values.div_(total.masked_fill(empty, 1.0))
    return (total.log() + largest).masked_fill(empty, NOTHING)


def softplus(values: Tensor) -> Tensor:
    """Return log(1 + exp(values)), to all digits of float64; its derivative is the sigmoid."""
    return F.softplus(values, threshold=40.0)


def mean_shares(counts: Tensor, like: Tensor) -> Tensor:
    """Return by what each anchor's loss enters the mean over those that count, ``[A, 1]``.

    Example:
        >>> mean_shares(torch.tensor([True, False, True]), torch.zeros(1)).flatten()
        tensor([0.5000, 0.0000, 0.5000])
    """
    return counts.to(like.dtype)[:, None] / counts.sum().clamp_min(1)


class _LossOfPairs(torch.autograd.Function):
    """The loss is one number, so its gradient is made at once and only waits to be scaled."""

    @staticmethod
    def forward(
        ctx: Any, given: Tensor, others: Tensor | None, block_loss: BlockLoss, normalize: bool
    ) -> Tensor:
        anchors = unit(given) if normalize else given
        to_anchors, to_others = ctx.needs_input_grad[:2]
        gradients: list[Tensor | None] = [None, None]
        # autocast would round to three digits
        with torch.autocast(anchors.device.type, enabled=False):
            pairs = similarities(anchors, others)
            loss = anchors.new_zeros(())
            for part in blocks(pairs):
                loss += block_loss(pairs[part], part)
            if others is None and to_anchors:
                product = _times_both(pairs, anchors)
                gradients[0] = turn_(product, anchors, given) if normalize else product
            elif others is not None:
                gradients[0] = pairs @ others if to_anchors else None
                gradients[1] = pairs.T @ anchors if to_others else None
        ctx.save_for_backward(*gradients)
        return loss

    @staticmethod
    @first_derivative_only
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        anchors, others = (None if g is None else g * scale for g in ctx.saved_tensors)
        return anchors, others, None, None


def similarities(anchors: Tensor, others: Tensor | None) -> Tensor:
    """Return ``[A, B]`` inner products without a gradient; autocast does not round them.

    Of the anchors with themselves (None) little more than half is computed, the rest is copied.
    """
    with torch.autocast(anchors.device.type, enabled=False):
        return _products(anchors, others)


def _products(anchors: Tensor, others: Tensor | None) -> Tensor:
    num_columns = len(anchors) if others is None else len(others)
    # a row is longer than a power of two: the cache has few places for a column of those
    pairs = anchors.new_empty(len(anchors), num_columns + 16)[:, :num_columns]
    if others is not None:
        return torch.mm(anchors, others.T.to(anchors.dtype), out=pairs)
    for tile in _tiles(anchors):
        rest = slice(tile.stop, None)
        torch.mm(anchors[tile], anchors[tile.start :].T, out=pairs[tile, tile.start :])
        pairs[rest, tile] = pairs[tile, rest].T
    return pairs


def _times_both(gradient: Tensor, vectors: Tensor) -> Tensor:
    """Return ``(G + G^T) x``."""
    product = torch.zeros_like(vectors)
    for tile in _tiles(vectors):
        both = gradient[tile, tile.start :] + gradient[tile.start :, tile].T
        product[tile].addmm_(both, vectors[tile.start :])
        product[tile.stop :].addmm_(both[:, tile.stop - tile.start :].T, vectors[tile])
    return product


def _tiles(vectors: Tensor) -> Iterator[slice]:
    num = len(vectors)
    size = _TILE if vectors.device.type == "cpu" else max(num, 1)
    for start in range(0, num, size):
        yield slice(start, min(start + size, num))
