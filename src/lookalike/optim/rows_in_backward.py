"""Momentum steps of some rows of a weight, taken while their gradient is being computed."""

# Shape letters: B = batch, D = width of a row, R = rows that are stepped

from __future__ import annotations

import torch
from torch import Tensor

from lookalike.optim.scheduled import ScheduledOptimizer


class RowsInBackward:
    """Step rows of one weight as its optimiser would, without holding the weight's gradient.

    The gradient of the rows is ``left.T @ right + multiple * weight``. It is added to the momentum
    by the product itself, so memory and time for a ``[C, D]`` gradient are saved. The momentum
    lives in the optimiser's own state, under the weight; checkpoints do not change. Rows that are
    not stepped keep weight and momentum, so with sampled classes their decay waits, too.

    Source: SGD with momentum as :class:`torch.optim.SGD` has it.

    Args:
        optimizer: Of which the weight is a parameter; see :meth:`fits`.
        weight: ``[C, D]``.

    Example:
        >>> weight = torch.nn.Parameter(torch.ones(2, 1))
        >>> sgd = ScheduledOptimizer(torch.optim.SGD([weight], lr=0.5), lambda step: 0.5)
        >>> step = RowsInBackward(sgd, weight)
        >>> step(slice(0, 1), torch.ones(1, 1), torch.ones(1, 1), torch.zeros(1))
        >>> weight.tolist()
        [[0.5], [1.0]]
    """

    def __init__(self, optimizer: ScheduledOptimizer, weight: torch.nn.Parameter) -> None:
        assert self.fits(optimizer, weight)
        self.optimizer, self.weight = optimizer, weight

    @staticmethod
    def fits(optimizer: ScheduledOptimizer, weight: torch.nn.Parameter) -> bool:
        """Tell whether the optimiser's step is one that rows can take by themselves."""
        groups = [
            group
            for group in optimizer.optimizer.param_groups
            if any(weight is parameter for parameter in group["params"])
        ]
        plain = isinstance(optimizer.optimizer, torch.optim.SGD)
        return (
            len(groups) == 1
            and plain
            and optimizer.clip_norm is None
            and optimizer.clip_global_norm is None
            and not groups[0].get("l1")
            and not groups[0]["maximize"]
            and not groups[0]["dampening"]
        )

    @torch.no_grad()
    def __call__(self, rows: slice | Tensor, left: Tensor, right: Tensor, multiple: Tensor) -> None:
        """Step the rows.

        Args:
            rows: Consecutive rows, or the indices ``[R]`` of different ones.
            left: ``[B, R]``.
            right: ``[B, D]``.
            multiple: ``[R]``.
        """
        group = self._group()
        momentum, rate = group["momentum"], group["lr"]
        factor = (multiple + group["weight_decay"] + group.get("l2", 0.0))[:, None]
        weight, velocity = self._take(self.weight.data, rows), self._velocity(rows, momentum)
        # without momentum the velocity is the gradient
        step = torch.addmm(velocity, left.T, right, beta=momentum, out=velocity)
        step.addcmul_(weight, factor)
        if group["nesterov"]:
            step = torch.addmm(velocity * momentum, left.T, right).addcmul_(weight, factor)
        weight.add_(step, alpha=-rate)
        if isinstance(rows, Tensor):
            self.weight.data.index_copy_(0, rows, weight)
            if momentum:
                self._buffer().index_copy_(0, rows, velocity)

    def _group(self) -> dict[str, float]:
        for group in self.optimizer.optimizer.param_groups:
            if any(self.weight is parameter for parameter in group["params"]):
                return group
        raise AssertionError("the weight has left its optimiser")

    @staticmethod
    def _take(table: Tensor, rows: slice | Tensor) -> Tensor:
        return table[rows] if isinstance(rows, slice) else table.index_select(0, rows)

    def _velocity(self, rows: slice | Tensor, momentum: float) -> Tensor:
        if not momentum:
            return torch.zeros_like(self._take(self.weight.data, rows))
        return self._take(self._buffer(), rows)

    def _buffer(self) -> Tensor:
        """Return the momentum; zeros before the first step, which torch leaves out likewise."""
        state = self.optimizer.optimizer.state[self.weight]
        if state.get("momentum_buffer") is None:
            state["momentum_buffer"] = torch.zeros_like(self.weight)
        buffer: Tensor = state["momentum_buffer"]
        return buffer
