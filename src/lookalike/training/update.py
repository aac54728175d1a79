"""One update of the parameters from a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lookalike.models.quantization import Rounding
from lookalike.optim import ScheduledOptimizer
from lookalike.training.precision import Precision
from lookalike.training.replicas import Replicas
from lookalike.types import Batch

Terms = Mapping[str, Tensor]


class Update:
    """Forward, loss, backward; and, when enough gradients have gathered, a step.

    Args:
        model: ``model(images, labels)`` returns what the loss reads.
        loss: Returns its weighted terms by name and their sum under ``loss``.
        optimizers: All step together.
        precision: In what the forward pass is computed.
        accumulate: Batches per step of the optimisers.
        average: Decay d of the running average of the weights, ``e <- d e + (1 - d) w`` after each
            step; None keeps none.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: nn.Module,
        optimizers: Sequence[ScheduledOptimizer],
        *,
        precision: Precision | None = None,
        accumulate: int = 1,
        average: float | None = None,
    ) -> None:
        self.model, self.loss, self.optimizers = model, loss, optimizers
        self.precision = precision or Precision(torch.device("cpu"))
        self.accumulate, self.replicas = accumulate, Replicas(model, loss)
        self.averaged: AveragedModel | None = None
        if average is not None:
            self.averaged = AveragedModel(
                model,
                multi_avg_fn=get_ema_multi_avg_fn(average),  # type: ignore[no-untyped-call]
                use_buffers=True,
            )
            # it starts as the initial weights, not as those after the first step
            self.averaged.n_averaged.fill_(1)

    def restart_average(self) -> None:
        """Let the average begin with the weights as they are now."""
        if self.averaged is not None:
            self.averaged.module.load_state_dict(self.model.state_dict())

    def train(self) -> None:
        """Switch model and loss to training."""
        self.model.train()
        self.loss.train()

    @property
    def loss_names(self) -> list[str]:
        """Names of the losses."""
        return list(self.loss.losses)  # type: ignore[arg-type]

    def gradients(self, batch: Batch, iteration: int) -> tuple[Any, Terms]:
        """Add a batch's gradients; return the model's output and the terms of the loss."""
        self._set_rates(iteration)

        def compute() -> tuple[Any, Terms]:
            output = self._output(batch, self.model)
            # losses compute in float32 whatever they are given
            return output, self.loss(output, batch.labels)

        with self.replicas.apart((iteration + 1) % self.accumulate > 0):
            output, terms = self.replicas(compute)
            self.precision.backward(terms["loss"] / self.accumulate)
        return output, terms

    def _set_rates(self, iteration: int) -> None:
        """Tell the optimisers the step: some weights move within the backward pass."""
        for optimizer in self.optimizers:
            optimizer.set_rate(iteration // self.accumulate)

    def _output(self, batch: Batch, model: Callable[[Tensor, Tensor], Any]) -> Any:
        images = batch.images.contiguous(memory_format=torch.channels_last)
        with self.precision.autocast():
            return model(images, batch.labels)

    def apply(self, iteration: int) -> list[float]:
        """Step if the iteration completes a step's batches; return the learning rates."""
        step = iteration // self.accumulate
        if (iteration + 1) % self.accumulate == 0:
            self.precision.step(self.optimizers, step)
            self._average()
        return [optimizer.learning_rate(step) for optimizer in self.optimizers]

    def skip(self, iteration: int) -> None:
        """Pass over a batch without images; step if others have left gradients for this step."""
        if any(parameter.grad is not None for parameter in self.model.parameters()):
            self.apply(iteration)

    def _average(self) -> None:
        if self.averaged is None:
            return
        self.averaged.update_parameters(self.model)
        pairs = zip(self.averaged.module.modules(), self.model.modules(), strict=True)
        for averaged, module in pairs:
            if isinstance(module, Rounding):
                # ranges of integers are no weights: an average of them clips
                averaged.load_state_dict(module.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the model that later updates depend on."""
        return {
            "loss": self.loss.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "precision": self.precision.state_dict(),
            "averaged": None if self.averaged is None else self.averaged.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self.loss.load_state_dict(state["loss"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.precision.load_state_dict(state["precision"])
        if self.averaged is not None and state["averaged"] is not None:
            self.averaged.load_state_dict(state["averaged"])
        else:
            self.restart_average()
