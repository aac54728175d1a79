"""RMSProp with the reference's arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lookalike.optim.quick_start import QuickStart


class RMSProp(QuickStart, torch.optim.Optimizer):
    """Divide the gradient by a running root mean square, with epsilon inside the root.

    PyTorch's own adds epsilon outside the root and the learning rate outside the momentum.

    Source: Hinton, "Neural Networks for Machine Learning", lecture 6e, 2012.

    Args:
        groups: Parameters, see :func:`lookalike.optim.parameter_groups`.
        momentum: Share of the velocity that is kept.
        rho: Decay of the mean square.
        epsilon: Added inside the root.
        centered: Subtract the squared mean of the gradient.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        *,
        momentum: float = 0.0,
        rho: float = 0.95,
        epsilon: float = 1e-6,
        centered: bool = False,
    ) -> None:
        defaults = {"lr": 0.0, "weight_decay": 0.0, "momentum": momentum, "rho": rho,
                    "epsilon": epsilon, "centered": centered}  # fmt: skip
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update the parameters from their gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    gradient = parameter.grad.add(parameter, alpha=group["weight_decay"])
                    parameter.sub_(self._velocity(parameter, gradient, group))

    def _velocity(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["square"] = torch.zeros_like(parameter)
            state["mean"] = torch.zeros_like(parameter)
            state["velocity"] = torch.zeros_like(parameter)
        square: Tensor = state["square"]
        square.mul_(group["rho"]).addcmul_(gradient, gradient, value=1.0 - group["rho"])
        below = square + group["epsilon"]
        if group["centered"]:
            state["mean"].lerp_(gradient, 1.0 - group["rho"])
            below = below - state["mean"].square()
        velocity: Tensor = state["velocity"]
        velocity.mul_(group["momentum"]).addcdiv_(gradient, below.sqrt(), value=group["lr"])
        return velocity
