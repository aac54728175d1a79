"""An optimiser that knows its schedule, its clipping and the decay it does not do itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lookalike import processes
from lookalike.optim.fused import with_own_kernels
from lookalike.optim.schedules import Schedule


class ScheduledOptimizer:
    """Step an optimiser with the learning rate its schedule says.

    Args:
        optimizer: Its groups may carry ``lr_multiplier``, and ``l1`` and ``l2``: decay that is
            added to the gradients.
        schedule: Step number to learning rate.
        name: For the log.
        clip_norm: Largest norm of each parameter's gradient, one by one.
        clip_global_norm: Largest norm of all gradients together.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        *,
        name: str = "",
        clip_norm: float | None = None,
        clip_global_norm: float | None = None,
    ) -> None:
        self.optimizer, self.schedule, self.name = optimizer, schedule, name
        self.clip_norm, self.clip_global_norm = clip_norm, clip_global_norm
        self._rows: set[int] = set()

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step, before the parameters' own multipliers."""
        return self.schedule(step)

    def set_rate(self, step: int) -> None:
        """Give the parameters the learning rate of a step, for steps within the backward pass."""
        rate = self.schedule(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("lr_multiplier", 1.0)

    def step_rows(self, own: Mapping[int, nn.Parameter]) -> None:
        """Step the rows that this process has of some parameters in their place.

        Norms are those of the rows of all processes.

        Args:
            own: The rows, by the ``id`` of the parameter that has not been stepped yet.
        """
        self._rows |= {id(rows) for rows in own.values()}
        for group in self.optimizer.param_groups:
            group["params"] = [own.get(id(p), p) for p in group["params"]]

    def step(self, step: int, scaler: torch.amp.GradScaler | None = None) -> None:
        """Update the parameters from their gradients and clear the gradients.

        Gradients are clipped first, then decayed.

        Args:
            step: Which step of the schedule this is.
            scaler: Takes its factor off the gradients first, and leaves the step out if one of
                them is not finite.
        """
        if not any(
            p.grad is not None for group in self.optimizer.param_groups for p in group["params"]
        ):
            return
        if scaler is not None:
            scaler.unscale_(self.optimizer)
        self._clip()
        self.set_rate(step)
        for group in self.optimizer.param_groups:
            _add_decay(group)
        if scaler is None:
            self.optimizer.step()
        else:
            scaler.step(self.optimizer)
        self.optimizer.zero_grad(set_to_none=True)

    def _clip(self) -> None:
        groups = self.optimizer.param_groups
        learning = [p for group in groups for p in group["params"] if p.grad is not None]
        if self.clip_norm is not None:
            factors = (self.clip_norm / self._norms(learning).clamp_min(1e-12)).clamp_max(1.0)
            torch._foreach_mul_([p.grad for p in learning], list(factors.unbind()))
        if self.clip_global_norm is not None:
            norm = torch.linalg.vector_norm(self._norms(learning))
            torch.nn.utils.clip_grads_with_norm_(learning, self.clip_global_norm, norm)

    def _norms(self, parameters: list[nn.Parameter]) -> Tensor:
        """Return the norm of each parameter's gradient."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        norms = torch.stack(torch._foreach_norm(gradients))
        if not self._rows:
            return norms
        partial = torch.tensor([id(p) in self._rows for p in parameters], device=norms.device)
        whole = processes.add_up(norms.square().where(partial, 0.0)).sqrt()
        return whole.where(partial, norms)

    def report(self, metric: float) -> None:
        """Tell the schedule what an evaluation found."""
        self.schedule.report(metric)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"optimizer": self.optimizer.state_dict(), "schedule": self.schedule.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.optimizer.load_state_dict(with_own_kernels(self.optimizer, state["optimizer"]))
        self.schedule.load_state_dict(state["schedule"])


def _add_decay(group: dict[str, Any]) -> None:
    l1, l2 = group.get("l1", 0.0), group.get("l2", 0.0)
    if not (l1 or l2):
        return
    parameters = [p.detach() for p in group["params"] if p.grad is not None]
    gradients = [p.grad for p in group["params"] if p.grad is not None]
    if l1:
        torch._foreach_add_(gradients, torch._foreach_sign(parameters), alpha=l1)
    if l2:
        torch._foreach_add_(gradients, parameters, alpha=l2)
