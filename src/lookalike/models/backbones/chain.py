"""Backbones as chains of named steps, which can be cut anywhere without tracing them."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from lookalike.models.reference_batch_norm import reference_batch_norm


def chain(**steps: nn.Module) -> nn.Sequential:
    """Return the steps in their order, under their names, with the reference's batch norm.

    Weights keep the keys they have in the library the steps come from.

    Example:
        >>> [name for name, _ in chain(flatten=nn.Flatten(), fc=nn.Linear(4, 2)).named_children()]
        ['flatten', 'fc']
    """
    model = nn.Sequential(OrderedDict(steps))
    reference_batch_norm(model)
    return model
