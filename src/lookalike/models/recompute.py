"""Memory for time: blocks of a backbone that forget their activations and compute them again."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lookalike.models.blocks import blocks_of
from lookalike.models.lent_buffers import buffers_lent


class RecomputedForward:
    """A module's forward pass of which only the input is kept, until the backward pass needs more.

    It takes the place of ``forward`` in one module, so hooks around it and names of parameters
    stay. The second pass sees the random numbers of the first, and its running statistics are
    thrown away. Copies of the module (an average of the weights) have one of their own.

    Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
    https://arxiv.org/abs/1604.06174

    Args:
        module: Whose forward pass it is.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, *inputs: Tensor) -> Any:
        """Compute what the module does."""
        if not (self.module.training and torch.is_grad_enabled()):
            return self._plain(*inputs)
        return checkpoint(self._plain, *inputs, use_reentrant=False, context_fn=self._contexts)

    def _plain(self, *inputs: Tensor) -> Any:
        return type(self.module).forward(self.module, *inputs)

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), buffers_lent(self.module)


def recompute_blocks(backbone: nn.Module) -> int:
    """Let each block of a backbone keep its input only; return the number of blocks.

    Of n equal blocks n inputs and the activations of one are in memory at once, instead of the
    activations of n; a step computes one forward pass more.

    Args:
        backbone: Changed in place.

    Returns:
        0 if :func:`~lookalike.models.blocks.blocks_of` finds none.

    Example:
        >>> block = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        >>> recompute_blocks(nn.Sequential(block))
        0
        >>> layer = nn.TransformerEncoderLayer(2, 1, batch_first=True)
        >>> recompute_blocks(nn.Sequential(layer, nn.Linear(2, 2)))
        1
    """
    found = blocks_of(backbone)
    for block in found:
        block.forward = RecomputedForward(block)
    return len(found)
