"""Memory for time: blocks of a backbone that forget their activations and compute them again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.utils.checkpoint import checkpoint

from lookalike.models.feature_tap import FeatureTap
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

    A block is a module made of others that stands in a sequence or list: a residual block, a
    transformer layer. Of n equal blocks n inputs and the activations of one are in memory at once,
    instead of the activations of n; a step computes one forward pass more.

    Args:
        backbone: Changed in place.

    Returns:
        0 if it has no such blocks, or runs as a traced graph that does not call them.

    Example:
        >>> block = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        >>> recompute_blocks(nn.Sequential(block))
        0
        >>> layer = nn.TransformerEncoderLayer(2, 1, batch_first=True)
        >>> recompute_blocks(nn.Sequential(layer, nn.Linear(2, 2)))
        1
    """
    if isinstance(backbone, GraphModule):
        return 0
    # a cut backbone leaves the block it is cut in by an exception, which cannot be repeated
    around = f"model.{backbone.layer}" if isinstance(backbone, FeatureTap) else ""
    found = [b for name, b in _blocks(backbone) if not around.startswith(f"{name}.")]
    for block in found:
        block.forward = RecomputedForward(block)
    return len(found)


def _blocks(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    listed = isinstance(module, nn.Sequential | nn.ModuleList)
    for name, child in module.named_children():
        composed = any(True for _ in child.children())
        if listed and composed and not isinstance(child, nn.Sequential | nn.ModuleList):
            if any(True for _ in child.parameters()):
                yield prefix + name, child
        else:
            yield from _blocks(child, f"{prefix}{name}.")
