"""Metrics of a classifier, from its logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor


class TopKAccuracy:
    """Share of images whose class is among the k largest logits.

    With a margin head the training logits of the true class are lowered on purpose, so the
    accuracy shown during training is pessimistic.

    Args:
        k: Cut-offs; a k above the number of classes counts every image.

    Example:
        >>> import torch
        >>> TopKAccuracy([1, 2])(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([1, 1]))
        {'top1': tensor(0.5000), 'top2': tensor(1.)}
    """

    def __init__(self, k: int | Sequence[int] = (1, 5)) -> None:
        self.ks = [k] if isinstance(k, int) else list(k)
        if not self.ks or min(self.ks) < 1:
            raise ValueError(f"k must be one or more positive numbers, got {k!r}.")

    def __call__(self, output: Mapping[str, Any] | Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = output if isinstance(output, Tensor) else output["logits"]
        labels = labels.reshape(-1, 1)
        deepest = min(max(self.ks), logits.shape[1])
        hits = logits.topk(deepest, dim=1).indices == labels
        return {f"top{k}": hits[:, : min(k, deepest)].any(dim=1).float().mean() for k in self.ks}
