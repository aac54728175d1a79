"""Classification over the training identities."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.read import read
from lookalike.types import ModelOutput, PartialLogits

Reduction = Literal["mean", "sum", "none"]


class CrossEntropy(BatchLoss):
    """Cross-entropy of the logits.

    Source: label smoothing after Szegedy et al., "Rethinking the Inception Architecture",
    CVPR 2016, section 7. https://arxiv.org/abs/1512.00567

    Args:
        label_smoothing: Share of the target spread evenly over all classes; values outside
            (0, 1) leave the target as it is.
        reduction: ``mean`` or ``sum`` over the batch, or ``none``: ``[B]`` with label smoothing,
            ``[B, 1]`` without, as in the reference.

    Shape:
        - logits: ``[B, C]``.
        - labels: ``[B]`` or ``[B, 1]`` int64; or ``[B, C]`` float: the softmax of this is the
          target, or, with label smoothing, this itself. Only the first where the head keeps its
          logits in parts.

    Example:
        >>> import torch
        >>> CrossEntropy()({"logits": torch.zeros(2, 4)}, torch.tensor([0, 3]))
        tensor(1.3863)
    """

    reads = ("logits",)
    reads_partial_logits = True

    def __init__(
        self,
        label_smoothing: float | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        smoothing = label_smoothing or 0.0
        self.label_smoothing = smoothing if 0.0 < smoothing < 1.0 else 0.0
        self.reduction = reduction

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        if isinstance(output, dict) and isinstance(output.get("logits"), PartialLogits):
            return self._in_parts(output["logits"], labels)
        logits = read(output, "logits", "CELoss")
        soft = labels.ndim == 2 and labels.shape[1] == logits.shape[1] > 1
        target = labels.reshape(-1)
        if soft:
            target = labels.float() if self.label_smoothing else F.softmax(labels.float(), dim=1)
        return cross_entropy(logits, target, self.label_smoothing, self.reduction)

    def _in_parts(self, logits: PartialLogits, labels: Tensor) -> Tensor:
        if labels.is_floating_point():
            raise ValueError(
                "CELoss got a share of the target for each class, and the head keeps its logits in "
                "parts; take chunk_size and sample_rate from the head."
            )
        loss = logits.cross_entropy(self.label_smoothing)
        if self.reduction == "none":
            return loss if self.label_smoothing else loss[:, None]
        return loss.mean() if self.reduction == "mean" else loss.sum()


def cross_entropy(logits: Tensor, target: Tensor, smoothing: float, reduction: Reduction) -> Tensor:
    """Return the loss with the shape the reference gives it."""
    loss = F.cross_entropy(logits, target, label_smoothing=smoothing, reduction=reduction)
    return loss[:, None] if reduction == "none" and not smoothing else loss
