"""Torch optimisers that leave PyTorch's compiler where it is until somebody compiles."""

from __future__ import annotations

import torch
from torch.optim import Optimizer


class QuickStart:
    """To be named before the optimiser's class.

    PyTorch keeps its compiler away from this method, and to do so imports it: 1.5 s of every
    ``lookalike check``. Its first step imports it too; but a check takes none.
    """

    add_param_group = getattr(Optimizer.add_param_group, "__wrapped__", Optimizer.add_param_group)


class SGD(QuickStart, torch.optim.SGD):
    """PyTorch's."""


class Adam(QuickStart, torch.optim.Adam):
    """PyTorch's."""


class AdamW(QuickStart, torch.optim.AdamW):
    """PyTorch's."""
