"""A second forward pass that leaves running statistics as the first one left them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def buffers_lent(*modules: nn.Module) -> Iterator[None]:
    """Let modules work on copies of their buffers for the time being.

    Copies, and not a switch that holds the statistics still: every layer then computes and saves
    exactly what it did the first time, whatever it keeps in its buffers.

    Args:
        *modules: With all their submodules.

    Example:
        >>> import torch
        >>> norm = nn.BatchNorm1d(2)
        >>> with buffers_lent(norm):
        ...     _ = norm(torch.randn(4, 2))
        >>> norm.running_mean.tolist(), norm.num_batches_tracked.item()
        ([0.0, 0.0], 0)
    """
    owners = [owner for module in modules for owner in module.modules()]
    own = [
        (owner, name, buffer)
        for owner in dict.fromkeys(owners)
        for name, buffer in owner.named_buffers(recurse=False)
    ]
    try:
        for owner, name, buffer in own:
            setattr(owner, name, buffer.clone())
        yield
    finally:
        for owner, name, buffer in own:
            setattr(owner, name, buffer)
