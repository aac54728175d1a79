"""Distillation of features through layers that are trained along and thrown away."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lookalike.geometry import unit
from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.two_models import two_tensors


class MGDLoss(BatchLoss):
    """Masked generative distillation: from some channels of the student, make all the teacher's.

    Channels are dropped at random, two convolutions generate the teacher's feature map from what
    is left, and the mean squared difference counts.

    Source: Yang et al., "Masked Generative Distillation", ECCV 2022, with channels
    masked as in the authors' classification code. https://arxiv.org/abs/2205.01529

    Args:
        student_channels: Of the student's feature map.
        teacher_channels: Of the teacher's.
        alpha_mgd: Weight of the loss.
        lambda_mgd: Share of the channels that are dropped, in [0, 1].

    Shape:
        - student: ``[B, student_channels, H, W]``.
        - teacher: ``[B, teacher_channels, H, W]``.

    Example:
        >>> MGDLoss(2, 3)(torch.zeros(1, 2, 4, 4), torch.zeros(1, 3, 4, 4)).item()
        0.0
    """

    reads: tuple[str, ...] = ()

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        alpha_mgd: float = 1.756,
        lambda_mgd: float = 0.15,
    ) -> None:
        super().__init__()
        self.alpha_mgd, self.lambda_mgd = alpha_mgd, lambda_mgd
        self.align: nn.Module = nn.Identity()
        if student_channels != teacher_channels:
            self.align = nn.Conv2d(student_channels, teacher_channels, 1)
        self.generation = nn.Sequential(
            nn.Conv2d(teacher_channels, teacher_channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(teacher_channels, teacher_channels, 3, padding=1),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = two_tensors(student, teacher, "MGDLoss")
        if student.shape[2:] != teacher.shape[2:]:
            raise ValueError(
                f"MGDLoss needs feature maps of one height and width; got "
                f"{list(student.shape[2:])} and {list(teacher.shape[2:])}."
            )
        aligned = self.align(student)
        kept = torch.rand(aligned.shape[:2], device=aligned.device) >= self.lambda_mgd
        generated = self.generation(aligned * kept[:, :, None, None])
        return self.alpha_mgd * F.mse_loss(generated, teacher)


class _Projector(nn.Module):
    def __init__(self, width: int, new_width: int) -> None:
        super().__init__()
        self.conv = nn.Linear(width, new_width)

    def forward(self, features: Tensor) -> Tensor:
        projected: Tensor = self.conv(features)
        return projected.relu()


class PEFDLoss(BatchLoss):
    """Cosine distance of the teacher to the mean of several projections of the student.

    Source: Chen et al., "Improved Feature Distillation via Projector Ensemble", NeurIPS 2022. https://arxiv.org/abs/2210.15274

    Args:
        student_channel: Width of the student's embedding.
        teacher_channel: Width of the teacher's.
        num_projectors: Projections, each a linear layer with ReLU.
        mode: What becomes of feature maps: ``flatten`` makes one vector of all their numbers, so
            that the widths are ``C * H * W``; ``gap`` takes each channel's mean.

    Shape:
        - student: ``[B, student_channel]``, or a map ``[B, C, H, W]``, see ``mode``.
        - teacher: likewise.

    Raises:
        ValueError: If there is no projector.

    Example:
        >>> PEFDLoss(2, 3)(torch.zeros(1, 2), torch.zeros(1, 3)).item()
        1.0
    """

    reads: tuple[str, ...] = ()

    def __init__(
        self,
        student_channel: int,
        teacher_channel: int,
        num_projectors: int = 3,
        mode: Literal["flatten", "gap"] = "flatten",
    ) -> None:
        super().__init__()
        self.mode, self.widths = mode, (student_channel, teacher_channel)
        if num_projectors < 1:
            raise ValueError(f"num_projectors must be positive; got {num_projectors}.")
        self.projectors = nn.ModuleList(
            [_Projector(student_channel, teacher_channel) for _ in range(num_projectors)]
        )

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = two_tensors(student, teacher, "PEFDLoss")
        student, teacher = self._vectors(student), self._vectors(teacher)
        if (widths := (student.shape[1], teacher.shape[1])) != self.widths:
            raise ValueError(
                f"PEFDLoss was made for features of widths {self.widths}, student and teacher; "
                f"got {widths}. With mode: flatten a map's width is C * H * W."
            )
        projected = torch.stack([one(student) for one in self.projectors]).mean(dim=0)
        return (1.0 - (unit(projected) * unit(teacher)).sum(dim=1)).mean()

    def _vectors(self, features: Tensor) -> Tensor:
        vectors = (
            features.flatten(2).mean(2) if self.mode == "gap" and features.ndim > 2 else features
        )
        return vectors.flatten(1)
