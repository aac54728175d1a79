"""The update of MetaBIN: learn how much of each norm to use by playing an unknown domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from lookalike.models.backbones.meta_bin import MetaBatchInstanceNorm
from lookalike.models.necks.meta_bn_neck import MetaBNNeck
from lookalike.optim import ScheduledOptimizer
from lookalike.training.precision import Precision
from lookalike.training.update import Terms, Update
from lookalike.types import Batch, PairedBatch


class MetaBinUpdate(Update):
    """Update the weights on one batch, then the gates on another that is split by domain.

    1. All weights but the gates learn from the first batch and ``basic``.
    2. Half the domains of the second batch, drawn anew each time, give the gates' gradients under
       ``meta_train``; the gates move along them for the moment, by the product of the second and
       the third learning rate.
    3. With the moved gates the other domains give the gradients under ``meta_test`` by which the
       second optimiser moves the gates, which stay within 0 and 1.

    In 2 and 3 batch norms normalise with the batch and leave their running statistics.

    Source: Choi et al., "Meta Batch-Instance Normalization for Generalizable Person
    Re-Identification", CVPR 2021, algorithm 1. https://arxiv.org/abs/2011.14670

    Args:
        model: Has :class:`MetaBatchInstanceNorm` layers.
        losses: ``basic``, ``meta_train`` and ``meta_test``; they take labels and domains.
        optimizers: Of the weights, of the gates, and one that only lends its learning rate.
        warmup: So many iterations stop after 1.
        seed: Of the split into domains.
        precision: In what the forward passes are computed.
        average: As in Update.
    """

    def __init__(
        self,
        model: nn.Module,
        losses: Mapping[str, nn.Module],
        optimizers: Sequence[ScheduledOptimizer],
        *,
        warmup: int = 0,
        seed: int = 0,
        precision: Precision | None = None,
        average: float | None = None,
    ) -> None:
        super().__init__(
            model, nn.ModuleDict(losses), optimizers, precision=precision, average=average
        )
        self.warmup, self.seed = warmup, seed
        self.gates = {
            f"{name}.gate": module.gate
            for name, module in model.named_modules()
            if isinstance(module, MetaBatchInstanceNorm)
        }

    @property
    def loss_names(self) -> list[str]:
        """Names of all losses, with the part they belong to."""
        return [f"{part}.{name}" for part, one in self.loss.items() for name in one.losses]  # type: ignore[operator]

    def gradients(self, batch: Batch, iteration: int) -> tuple[Any, Terms]:
        """Do the whole update of an iteration; return the first output and all terms."""
        assert isinstance(batch, PairedBatch)
        output, terms = self._forward("basic", batch, {})
        self.precision.backward(terms["loss"])
        self.precision.step(self.optimizers[:1], iteration)
        found = dict(terms)
        if iteration >= self.warmup:
            self._norms("hold")
            found |= self._gate_step(batch.meta, iteration)
            self._norms("general")
        return output, found

    def apply(self, iteration: int) -> list[float]:
        """Return the learning rates; the update is done."""
        self._average()
        return [optimizer.learning_rate(iteration) for optimizer in self.optimizers]

    def _gate_step(self, batch: Batch, iteration: int) -> Terms:
        known, unknown = self._split(batch, iteration)
        _, train = self._forward("meta_train", known, {})
        rate = self.optimizers[1].learning_rate(iteration)
        rate *= self.optimizers[2].learning_rate(iteration)
        scale = self.precision.scaler.get_scale()
        moved = {
            name: gate - rate * gradient / scale
            for (name, gate), gradient in zip(
                self.gates.items(), self._gate_gradients(train["loss"]), strict=True
            )
        }
        _, test = self._forward("meta_test", unknown, moved)
        for gate, gradient in zip(
            self.gates.values(), self._gate_gradients(test["loss"]), strict=True
        ):
            gate.grad = gradient
        self.precision.step(self.optimizers[1:2], iteration)
        with torch.no_grad():
            for gate in self.gates.values():
                gate.clamp_(0.0, 1.0)
        found = {f"MetaTrain_{name}": term for name, term in train.items()}
        return found | {f"MetaTest_{name}": term for name, term in test.items()}

    def _gate_gradients(self, loss: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(self.precision.scaler.scale(loss), list(self.gates.values()))

    def _forward(self, part: str, batch: Batch, moved: Mapping[str, Tensor]) -> tuple[Any, Terms]:
        output = self._output(
            batch, lambda *inputs: functional_call(self.model, dict(moved), inputs)
        )
        domains = batch.cameras.to(batch.labels.device)
        terms: Terms = self.loss[part](output, {"label": batch.labels, "domain": domains})  # type: ignore[index]
        return output, terms

    def _norms(self, mode: Literal["general", "hold"]) -> None:
        for module in self.model.modules():
            if isinstance(module, MetaBatchInstanceNorm | MetaBNNeck):
                module.mode = mode

    def _split(self, batch: Batch, iteration: int) -> tuple[Batch, Batch]:
        """Return the images of a random half of the domains, and the others."""
        domains = torch.unique(batch.cameras)
        order = np.random.default_rng([self.seed, iteration]).permutation(len(domains))
        known = torch.isin(batch.cameras, domains[torch.from_numpy(order[: len(domains) // 2])])
        return batch.rows(known), batch.rows(~known)
