"""Plain distance between two models' outputs."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.two_models import two_tensors

Mode = Literal["l1", "l2", "smooth_l1"]
Reduction = Literal["mean", "sum", "none"]


class DistanceLoss(BatchLoss):
    """Mean distance of two tensors, number by number; the gradient goes to both.

    Args:
        mode: ``l2`` is the squared difference, ``l1`` the absolute one, ``smooth_l1`` squared
            (halved) below ``delta`` and straight above, with slope ``delta``.
        reduction: ``mean`` or ``sum`` over all numbers, or ``none``.
        delta: See ``mode``.

    Shape:
        - student, teacher: of one shape.

    Example:
        >>> import torch
        >>> DistanceLoss("l2")(torch.zeros(2, 3), torch.full((2, 3), 2.0))
        tensor(4.)
    """

    reads: tuple[str, ...] = ()

    def __init__(
        self, mode: Mode = "l2", reduction: Reduction = "mean", delta: float = 1.0
    ) -> None:
        super().__init__()
        self.mode, self.reduction, self.delta = mode, reduction, delta

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = two_tensors(student, teacher, "DistanceLoss")
        if student.shape != teacher.shape:
            raise ValueError(
                f"DistanceLoss needs outputs of one shape; got {list(student.shape)} and "
                f"{list(teacher.shape)}. RkdDistance compares embeddings of different width."
            )
        if self.mode == "smooth_l1":
            return F.huber_loss(student, teacher, reduction=self.reduction, delta=self.delta)
        distance = F.l1_loss if self.mode == "l1" else F.mse_loss
        return distance(student, teacher, reduction=self.reduction)
