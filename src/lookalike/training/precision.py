"""Mixed precision: which steps run in half, and how gradients survive it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from lookalike.optim import ScheduledOptimizer


class Precision:
    """Run the forward pass under autocast, and scale the loss where half would lose gradients.

    Parameters and optimiser state stay float32. On a GPU half is float16 and the loss is scaled;
    elsewhere it is bfloat16, which has float32's range and needs no scaling.

    Args:
        device: Where the model is.
        enabled: False computes in float32.
        dtype: ``float16`` or ``bfloat16`` in place of the device's own choice.
        scale_loss: Factor on the loss, for float16.
        dynamic: Let the factor grow while all gradients are finite, and halve it when they are
            not; such a step is left out.
        keeps_casts: Keep each weight in half until the forward pass ends, for those that are used
            twice; False where whole weights are not to stay in memory.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        enabled: bool = False,
        dtype: torch.dtype | None = None,
        scale_loss: float = 65536.0,
        dynamic: bool = True,
        keeps_casts: bool = True,
    ) -> None:
        self.device, self.enabled, self.keeps_casts = device, enabled, keeps_casts
        self.dtype = dtype or (torch.float16 if device.type == "cuda" else torch.bfloat16)
        # the scaler knows no fixed factor; one that never leaves float32's last digits is one
        self.scaler = torch.amp.GradScaler(
            device.type,
            init_scale=scale_loss,
            growth_factor=2.0 if dynamic else 1.0 + 1e-7,
            backoff_factor=0.5 if dynamic else 1.0 - 1e-7,
            enabled=enabled and self.dtype == torch.float16,
        )

    def autocast(self) -> AbstractContextManager[Any]:
        """Run what is inside in half, where that is safe."""
        return torch.autocast(
            self.device.type, self.dtype, enabled=self.enabled, cache_enabled=self.keeps_casts
        )

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of the scaled loss."""
        torch.autograd.backward(self.scaler.scale(loss))

    def step(self, optimizers: Sequence[ScheduledOptimizer], step: int) -> None:
        """Update the parameters, unless a scaled gradient is not finite."""
        for optimizer in optimizers:
            optimizer.step(step, self.scaler)
        self.scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return self.scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        if state and self.scaler.is_enabled():
            self.scaler.load_state_dict(state)
