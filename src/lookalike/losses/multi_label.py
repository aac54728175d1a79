"""Losses for images that have several labels at once."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.read import read
from lookalike.types import ModelOutput


def ratio_weights(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Split ``[B, 2, C]`` labels into targets and weights that favour the rarer answer.

    A class that is positive in a share r of the data weighs exp(1 - r) where it is present and
    exp(r) where it is not; a negative target means unknown and weighs nothing.

    Source: Li et al., "Multi-attribute Learning for Pedestrian Attribute Recognition in
    Surveillance Scenarios", ACPR 2015.
    """
    targets, ratios = labels[:, 0], labels[:, 1]
    present = targets > 0.5
    weights = torch.where(present, 1.0 - ratios, ratios).exp()
    return targets, weights.masked_fill(targets <= -1.0, 0.0)


class MultiLabelLoss(BatchLoss):
    """Binary cross-entropy of every class for itself.

    Args:
        epsilon: Label smoothing: targets become ``(1 - epsilon) t + epsilon / C``; values outside
            (0, 1) leave them as they are.
        size_sum: Sum over the classes instead of taking their mean.
        weight_ratio: Weigh classes by how often they are positive; the labels then carry these
            ratios.

    Shape:
        - logits: ``[B, C]``.
        - labels: ``[B, C]`` 0/1; or ``[B, 2, C]``: the targets, and the share of positives of each
          class in the data.

    Example:
        >>> MultiLabelLoss()(torch.zeros(1, 3), torch.tensor([[0.0, 1.0, 1.0]]))
        tensor(0.6931)
    """

    reads = ("logits",)

    def __init__(
        self, epsilon: float | None = None, size_sum: bool = False, weight_ratio: bool = False
    ) -> None:
        super().__init__()
        self.epsilon = epsilon if epsilon is not None and 0.0 < epsilon < 1.0 else 0.0
        self.size_sum, self.weight_ratio = size_sum, weight_ratio

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        logits = read(output, "logits", "MultiLabelLoss")
        labels = labels.to(logits.dtype)
        if self.weight_ratio and labels.ndim != 3:
            raise ValueError(
                "MultiLabelLoss with weight_ratio needs labels [B, 2, C], targets and ratios; got "
                f"{list(labels.shape)}."
            )
        targets, weights = labels, torch.ones_like(logits)
        if labels.ndim == 3:
            targets, weights = ratio_weights(labels)
        if not self.weight_ratio:
            weights = torch.ones_like(weights)
        smoothed = targets * (1.0 - self.epsilon) + self.epsilon / logits.shape[1]
        cost = weights * F.binary_cross_entropy_with_logits(logits, smoothed, reduction="none")
        return cost.sum(dim=1).mean() if self.size_sum else cost.mean()


class MultiLabelAsymmetricLoss(BatchLoss):
    """Binary cross-entropy that forgets easy negatives.

    With ``p`` the probability of the right answer, that of a negative raised by ``clip``, each
    class costs ``-(1 - p)^gamma log(p)``.

    Source: Ben-Baruch et al., "Asymmetric Loss For Multi-Label Classification", ICCV 2021. https://arxiv.org/abs/2009.14119

    Args:
        gamma_pos: Focusing exponent of positives.
        gamma_neg: Focusing exponent of negatives.
        clip: By how much the probability of a negative is raised, in [0, 1); null is 0.
        epsilon: Least probability inside the logarithm.
        disable_focal_loss_grad: No gradient through ``(1 - p)^gamma``.
        reduction: ``sum`` or ``mean`` over images and classes, or ``none``.

    Shape:
        - logits: ``[B, C]``.
        - labels: ``[B, C]`` 0/1.

    Example:
        >>> MultiLabelAsymmetricLoss()(torch.zeros(1, 1), torch.ones(1, 1))
        tensor(0.3466)
    """

    reads = ("logits",)

    def __init__(
        self,
        gamma_pos: float = 1.0,
        gamma_neg: float = 4.0,
        clip: float | None = 0.05,
        epsilon: float = 1e-8,
        disable_focal_loss_grad: bool = True,
        reduction: Literal["mean", "sum", "none"] = "sum",
    ) -> None:
        super().__init__()
        self.gamma_pos, self.gamma_neg, self.clip = gamma_pos, gamma_neg, clip or 0.0
        self.epsilon, self.reduction = epsilon, reduction
        self.disable_focal_loss_grad = disable_focal_loss_grad

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        logits = read(output, "logits", "MultiLabelAsymmetricLoss")
        target = labels.to(logits.dtype)
        absent = (logits.neg().sigmoid() + self.clip).clamp_max(1.0)
        right = absent * (1.0 - target) + logits.sigmoid() * target
        base = right.detach() if self.disable_focal_loss_grad else right
        exponent = self.gamma_pos * target + self.gamma_neg * (1.0 - target)
        # with a gradient, 0 ** 0 and roots of 0 have none that is finite
        focus = (1.0 - base).clamp_min(1e-12).pow(exponent)
        cost = -right.clamp_min(self.epsilon).log() * focus
        if self.reduction == "none":
            return cost
        return cost.mean() if self.reduction == "mean" else cost.sum()
