"""Cross-entropy with a given distribution."""

from __future__ import annotations

from torch import Tensor

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.read import read
from lookalike.types import ModelOutput


class SoftTargetCrossEntropy(BatchLoss):
    """Cross-entropy of the logits with targets that are distributions already.

    ``mean_i sum_c -t_ic log softmax(x_i)_c``; mixed images have such targets.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
    https://arxiv.org/abs/1710.09412

    Shape:
        - logits: ``[B, C]``.
        - labels: ``[B, C]`` float, rows sum to 1.

    Example:
        >>> import torch
        >>> SoftTargetCrossEntropy()(torch.zeros(1, 4), torch.full((1, 4), 0.25))
        tensor(1.3863)
    """

    reads = ("logits",)

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        logits = read(output, "logits", "SoftTargetCrossEntropy")
        if labels.shape != logits.shape:
            raise ValueError(
                f"SoftTargetCrossEntropy needs one target per class, {list(logits.shape)}; got "
                f"labels of shape {list(labels.shape)}. For labels that are numbers use CELoss."
            )
        return (-labels.to(logits.dtype) * logits.log_softmax(dim=-1)).sum(dim=-1).mean()
