"""Plain distance between two models' outputs."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lookalike.losses.two_models import two_tensors

Mode = Literal["l1", "l2", "smooth_l1"]
_FUNCTIONS = {"l1": F.l1_loss, "l2": F.mse_loss, "smooth_l1": F.smooth_l1_loss}


class DistanceLoss(nn.Module):
    """Mean distance of two tensors, number by number; the gradient goes to both.

    Args:
        mode: ``l2`` is the squared difference, ``l1`` the absolute one, ``smooth_l1`` squared
            (halved) below 1 and absolute above.
        reduction: ``mean`` or ``sum`` over all numbers.

    Shape:
        - student, teacher: of one shape.

    Example:
        >>> import torch
        >>> DistanceLoss("l2")(torch.zeros(2, 3), torch.full((2, 3), 2.0))
        tensor(4.)
    """

    reads: tuple[str, ...] = ()

    def __init__(self, mode: Mode = "l2", reduction: Literal["mean", "sum"] = "mean") -> None:
        super().__init__()
        self.mode, self.reduction = mode, reduction

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = two_tensors(student, teacher, "DistanceLoss")
        if student.shape != teacher.shape:
            raise ValueError(
                f"DistanceLoss needs outputs of one shape; got {list(student.shape)} and "
                f"{list(teacher.shape)}. RkdDistance compares embeddings of different width."
            )
        distance: Tensor = _FUNCTIONS[self.mode](student, teacher, reduction=self.reduction)
        return distance
