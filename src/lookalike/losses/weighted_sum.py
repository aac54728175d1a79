"""Several losses as one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lookalike import processes
from lookalike.errors import ComponentError
from lookalike.types import ModelOutput


class WeightedSum(nn.Module):
    """Add losses with weights; a single loss's weight counts too.

    A loss that returns several terms by name keeps these names; a name that is taken already gets
    a number, so nothing is lost.

    Args:
        losses: By the name they have in the log.
        weights: One per loss.
        gathers: Losses that are given the batches of all processes, embeddings and labels alike,
            so that their pairs and memories are those of the whole batch.

    Raises (from ``forward``):
        ComponentError: If a loss refuses what it is given.

    Returns (from ``forward``):
        Each term by name, already weighted, and their sum under ``loss``.

    Example:
        >>> from lookalike.losses import CrossEntropy
        >>> total = WeightedSum({"CELoss": CrossEntropy()}, [2.0])
        >>> total({"logits": torch.zeros(1, 2)}, torch.tensor([0]))["loss"]
        tensor(1.3863)
    """

    def __init__(
        self,
        losses: Mapping[str, nn.Module],
        weights: Sequence[float],
        gathers: Collection[str] = (),
    ) -> None:
        super().__init__()
        if len(losses) != len(weights) or not losses:
            raise ValueError(f"{len(losses)} losses and {len(weights)} weights do not fit.")
        # a module's name may hold no dot
        named = {name.replace(".", "_"): loss for name, loss in losses.items()}
        self.losses = nn.ModuleDict(named)
        self.weights = dict(zip(named, weights, strict=True))
        self.gathers = frozenset(name.replace(".", "_") for name in gathers)

    def forward(
        self, output: ModelOutput | Tensor, labels: Tensor | Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        for name, loss in self.losses.items():
            try:
                value = loss(*self._given(name, output, labels))
            except ValueError as error:
                raise ComponentError("loss", name, str(error)) from error
            parts = value if isinstance(value, Mapping) else {name: value}
            for part, term in parts.items():
                terms[_free(part, terms)] = self.weights[name] * term
        return {**terms, "loss": torch.stack(list(terms.values())).sum()}

    def _given(self, name: str, output: Any, labels: Any) -> tuple[Any, Any]:
        """Return what a loss is given: of this process's batch, or of the batches of all."""
        if name not in self.gathers or processes.count() == 1:
            return output, labels
        reads = getattr(self.losses[name], "reads", ())
        if isinstance(output, Mapping) and reads:
            output = {key: output[key] for key in reads if key in output}
        return _of_all(output), _of_all(labels)

    def gathered_buffers(self) -> list[str]:
        """Return the buffers of losses that are given all batches: the same in every process."""
        return [
            f"{name}.{key}"
            for name in self.losses
            if name in self.gathers
            for key, _ in self.losses[name].named_buffers()
        ]


def _of_all(values: Any) -> Any:
    """Gather tensors; of outputs by name, each one, in the same order everywhere."""
    if isinstance(values, Mapping):
        return {key: _of_all(value) for key, value in values.items()}
    return processes.gathered(values) if isinstance(values, Tensor) else values


def _free(name: str, taken: Mapping[str, Tensor]) -> str:
    """Return the name, with the first number that makes it new if it is taken."""
    number, free = 2, name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free
