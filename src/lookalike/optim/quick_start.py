"""Torch optimisers that leave PyTorch's compiler where it is until somebody compiles."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch.optim import Optimizer


class QuickStart:
    """To be named before the optimiser's class.

    PyTorch keeps its compiler away from these methods, and to do so imports it: 1.5 s or more of
    every ``lookalike check`` and before every first step. Under the decorators the methods are the
    same.
    """

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)


def _step(optimizer: type[Optimizer]) -> Any:
    """Return the class's step without its decorators but for this one; nothing differentiates it.

    The decorators also call hooks and name the step in profiles; PyTorch adds that part again when
    the first object is made.
    """
    return torch.no_grad()(inspect.unwrap(optimizer.step))


class SGD(QuickStart, torch.optim.SGD):
    """PyTorch's."""

    step = _step(torch.optim.SGD)


class Adam(QuickStart, torch.optim.Adam):
    """PyTorch's."""

    step = _step(torch.optim.Adam)


class AdamW(QuickStart, torch.optim.AdamW):
    """PyTorch's."""

    step = _step(torch.optim.AdamW)
