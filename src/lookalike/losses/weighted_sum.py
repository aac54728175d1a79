"""Several losses as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from lookalike.types import ModelOutput


class WeightedSum(nn.Module):
    """Add losses with weights; a single loss's weight counts too.

    Args:
        losses: By the name they have in the log.
        weights: One per loss.

    Returns (from ``forward``):
        Each loss by name, already weighted, and their sum under ``loss``.

    Example:
        >>> from lookalike.losses import CrossEntropy
        >>> total = WeightedSum({"CELoss": CrossEntropy()}, [2.0])
        >>> total({"logits": torch.zeros(1, 2)}, torch.tensor([0]))["loss"]
        tensor(1.3863)
    """

    def __init__(self, losses: Mapping[str, nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        if len(losses) != len(weights) or not losses:
            raise ValueError(f"{len(losses)} losses and {len(weights)} weights do not fit.")
        self.losses = nn.ModuleDict(losses)
        self.weights = dict(zip(losses, weights, strict=True))

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> dict[str, Tensor]:
        terms = {
            name: self.weights[name] * loss(output, labels) for name, loss in self.losses.items()
        }
        return {**terms, "loss": torch.stack(list(terms.values())).sum()}
