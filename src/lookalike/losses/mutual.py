"""Two models that learn from each other, or one from the other, by their probabilities."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.multi_label import ratio_weights
from lookalike.losses.two_models import activated, two_tensors


class DMLLoss(BatchLoss):
    """Symmetric Kullback-Leibler divergence of two models' probabilities; both learn.

    ``C / 2 (KL(p, q) + KL(q, p))`` per class, and its mean over images and classes.

    Source: Zhang et al., "Deep Mutual Learning", CVPR 2018; the factor C is
    PaddleClas's and makes the mean over classes a sum. https://arxiv.org/abs/1706.00384

    Args:
        act: What makes probabilities of the outputs; null if they are some already.
        sum_across_class_dim: Sum over the classes instead of taking their mean, after the factor.
        eps: Added to probabilities before they are divided.

    Shape:
        - student, teacher: ``[B, C]`` each.
        - labels: None, or ``[B, 2, C]``: the divergence is weighted as in MultiLabelLoss.

    Example:
        >>> import torch
        >>> DMLLoss()(torch.zeros(2, 3), torch.zeros(2, 3))
        tensor(0.)
    """

    reads: tuple[str, ...] = ()

    def __init__(
        self,
        act: Literal["softmax", "sigmoid"] | None = "softmax",
        sum_across_class_dim: bool = False,
        eps: float = 1e-12,
    ) -> None:
        super().__init__()
        self.act, self.sum_across_class_dim, self.eps = act, sum_across_class_dim, eps

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor | None = None) -> Tensor:
        student, teacher = two_tensors(student, teacher, "DMLLoss")
        p, q = activated(student, self.act), activated(teacher, self.act)
        ratio = ((p + self.eps) / (q + self.eps)).log()
        cost = (p - q) * ratio * p.shape[-1] / 2.0
        if labels is not None:
            cost = cost * ratio_weights(labels.to(cost.dtype))[1]
        return cost.sum(dim=1).mean() if self.sum_across_class_dim else cost.mean()


class KLDivLoss(BatchLoss):
    """Kullback-Leibler divergence of a student from its teacher; only the student learns.

    ``T^2 KL(softmax(t / T), softmax(s / T))``, mean over the images.

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015.
    https://arxiv.org/abs/1503.02531

    Args:
        temperature: T, divides the logits. No unit.

    Shape:
        - student, teacher: ``[B, C]`` each.

    Example:
        >>> import torch
        >>> KLDivLoss()(torch.zeros(2, 3), torch.zeros(2, 3))
        tensor(0.)
    """

    reads: tuple[str, ...] = ()

    def __init__(self, temperature: float = 4.0) -> None:
        super().__init__()
        if temperature <= 0.0:
            raise ValueError(f"temperature must be positive; got {temperature}.")
        self.temperature = temperature

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = two_tensors(student, teacher, "KLDivLoss")
        ours = (student / self.temperature).log_softmax(dim=1)
        theirs = (teacher.detach() / self.temperature).log_softmax(dim=1)
        divergence = F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
        return divergence * self.temperature**2
