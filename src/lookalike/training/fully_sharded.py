"""Weights, gradients and optimiser state of which every process keeps a part.

PyTorch's ``fully_shard`` (FSDP2) does the work: it gathers the weights of a block before the block
computes, and gives each process the mean gradient of its own rows afterwards. What it calls a
shard along the first axis is what :class:`~lookalike.models.sharded.Rows` means, so checkpoints
treat it like a head whose classes are dealt. The optimiser steps the rows as plain tensors beside
others, in one kernel, and needs to know nothing.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lookalike import processes
from lookalike.models.blocks import blocks_of
from lookalike.models.embedding_model import EmbeddingModel
from lookalike.models.sharded import Rows, sharded_parameters
from lookalike.optim import ScheduledOptimizer
from lookalike.place import waited_since


def shard_fully(model: EmbeddingModel, optimizers: Iterable[ScheduledOptimizer]) -> int:
    """Leave each process its rows of every parameter; return the number of blocks that gather.

    A block of the backbone gathers its weights when it computes, forward and backward, and forgets
    them. What is outside the blocks is gathered once for a step. Weights start as those of the
    first process. Parameters that are dealt already, and single numbers, stay as they are; buffers
    too. Alone nothing happens.

    Source: Zhao et al., "PyTorch FSDP", VLDB 2023. https://arxiv.org/abs/2304.11277

    Args:
        model: Changed in place, before its first step; to be called as a whole from then on.
        optimizers: Have taken no step; go on with the rows.

    Example:
        >>> shard_fully(EmbeddingModel(nn.Linear(2, 2)), [])
        0
    """
    if processes.count() == 1:
        return 0
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    # losses do not write into embeddings, which may be a view of a backbone's tokens
    warnings.filterwarnings("ignore", r"FSDP2-wrapped module .* returned a view")
    dealt, before = sharded_parameters(model), dict(model.named_parameters())
    taken = {name: p for name, p in before.items() if name not in dealt and p.ndim}
    processes.take_from_first(parameter.data for parameter in taken.values())
    for parameter in taken.values():
        # rows must lie one after the other; channels-last weights do not
        parameter.data = parameter.data.contiguous()
    shared: Any = {
        "mesh": init_device_mesh(next(model.parameters()).device.type, (processes.count(),)),
        "ignored_params": {p for name, p in before.items() if name not in taken},
    }
    blocks = blocks_of(model.backbone)
    for block in blocks:
        fully_shard(block, reshard_after_forward=True, **shared)
    fully_shard(model, reshard_after_forward=False, **shared)
    for part in (*blocks, model):
        _Gathering(part)
    own = {name: _own_rows(p) for name, p in model.named_parameters() if name in taken}
    model.sharded = {name: _rows(len(taken[name])) for name in own}
    model.own_rows = own
    rows = {id(taken[name]): parameter for name, parameter in own.items()}
    for optimizer in optimizers:
        optimizer.step_rows(rows)
    return len(blocks)


def _rows(total: int) -> Rows:
    """Return which rows ``fully_shard`` leaves this process: parts of one size, the last less."""
    size = -(-total // processes.count())
    start = min(processes.rank() * size, total)
    return Rows(start, min(start + size, total), total)


def _own_rows(parameter: Any) -> nn.Parameter:
    """Return the rows of this process, in the same memory, as what an optimiser steps."""
    own = nn.Parameter(parameter.to_local().detach(), requires_grad=parameter.requires_grad)
    if parameter.requires_grad:
        parameter.register_post_accumulate_grad_hook(partial(_hand_over, own))
    return own


def _hand_over(own: nn.Parameter, parameter: Any) -> None:
    """Move a gradient to where the optimiser looks for it; those of several batches add up."""
    gradient, parameter.grad = parameter.grad.to_local(), None
    own.grad = gradient if own.grad is None else own.grad.add_(gradient)


class _Gathering:
    """Tells the time in which a block gathers its weights as one in which others are waited for.

    It lies between the first and the last of what is called before the block computes.
    """

    def __init__(self, block: nn.Module) -> None:
        self.entered = 0.0
        block.register_forward_pre_hook(self._enter, prepend=True)
        block.register_forward_pre_hook(self._leave)

    def _enter(self, block: nn.Module, images: Any) -> None:
        self.entered = time.perf_counter()

    def _leave(self, block: nn.Module, images: Any) -> None:
        waited_since(self.entered)


def as_shards(model: nn.Module, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state of which each process has its rows as what the model can load.

    Args:
        model: Of any kind.
        own: Names to rows; those of whole parameters stay.
    """
    rows, parameters = getattr(model, "own_rows", {}), dict(model.named_parameters())
    return {k: _as_shard(t, parameters[k]) if k in rows else t for k, t in own.items()}


def _as_shard(own: Tensor, parameter: Any) -> Tensor:
    from torch.distributed.tensor import DTensor

    shape = torch.Size([len(parameter), *own.shape[1:]])
    stride = torch.empty(shape, device="meta").stride()
    found: Tensor = DTensor.from_local(
        own.to(parameter.device),
        parameter.device_mesh,
        parameter.placements,
        run_check=False,
        shape=shape,
        stride=stride,
    )
    return found


@contextmanager
def gathered_for_evaluation(model: nn.Module) -> Iterator[None]:
    """Let every process have all weights for the time being, so that each computes by itself.

    Processes may then have different numbers of batches, and nothing is gathered for each anew.
    It costs the memory of the weights, at a time when there are no gradients or activations.

    Args:
        model: Of any kind; only one that :func:`shard_fully` changed is touched.
    """
    parts: list[Any] = [m for m in model.modules() if hasattr(m, "set_reshard_after_forward")]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.reshard()
            part.set_reshard_after_forward(part is not model, recurse=False)
