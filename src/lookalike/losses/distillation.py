"""Losses between the models of a DistillationModel: labels, cross-entropy, distance, relations.

Each returns its terms by the names that the reference logs.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.cross_entropy import CrossEntropy
from lookalike.losses.distance import DistanceLoss, Mode, Reduction
from lookalike.losses.multi_label import MultiLabelLoss
from lookalike.losses.relational import RkdAngle, RkdDistance, TargetSize
from lookalike.losses.two_models import Pairs, Terms, activated, names_of, read_model
from lookalike.types import ModelOutput


class DistillationGTCELoss(BatchLoss):
    """Cross-entropy of each model with the labels; logged as ``CELoss_Student``.

    Args:
        model_names: Models that learn from the labels.
        label_smoothing: As in CrossEntropy.
        key: Which of a model's outputs; ``logits`` if null.

    Shape:
        - the output: ``[B, C]`` for each model.
        - labels: ``[B]`` or ``[B, 1]`` int64.

    Example:
        >>> import torch
        >>> loss = DistillationGTCELoss(["Student"])
        >>> loss({"Student": {"logits": torch.zeros(1, 2)}}, torch.tensor([0]))
        {'CELoss_Student': tensor(0.6931)}
    """

    reads: tuple[str, ...] = ()

    def __init__(
        self, model_names: list[str], label_smoothing: float | None = None, key: str | None = None
    ) -> None:
        super().__init__()
        if not model_names:
            raise ValueError("DistillationGTCELoss needs model_names, such as [Student].")
        self.model_names, self.key = model_names, key
        self.reads = tuple(model_names)
        self.cross_entropy = CrossEntropy(label_smoothing)

    def forward(self, output: ModelOutput, labels: Tensor) -> Terms:
        return {
            f"CELoss_{name}": self.cross_entropy(
                read_model(output, name, self.key, "DistillationGTCELoss"), labels
            )
            for name in self.model_names
        }


class DistillationMultiLabelLoss(BatchLoss):
    """Binary cross-entropy of each model with the labels; logged as ``MultiLabelLoss_Student``.

    Args:
        model_names: Models that learn from the labels.
        epsilon: As in MultiLabelLoss, like the two that follow.
        size_sum: Sum over the classes instead of taking their mean.
        weight_ratio: Weigh classes by how often they are positive.
        key: Which of a model's outputs; ``logits`` if null.

    Shape:
        - the output: ``[B, C]`` for each model.
        - labels: As in MultiLabelLoss.

    Example:
        >>> import torch
        >>> loss = DistillationMultiLabelLoss(["Student"])
        >>> loss({"Student": {"logits": torch.zeros(1, 2)}}, torch.tensor([[0, 1]]))
        {'MultiLabelLoss_Student': tensor(0.6931)}
    """

    reads: tuple[str, ...] = ()

    def __init__(
        self,
        model_names: list[str],
        epsilon: float | None = None,
        size_sum: bool = False,
        weight_ratio: bool = False,
        key: str | None = None,
    ) -> None:
        super().__init__()
        if not model_names:
            raise ValueError("DistillationMultiLabelLoss needs model_names, such as [Student].")
        self.model_names, self.key = model_names, key
        self.reads = tuple(model_names)
        self.multi_label = MultiLabelLoss(epsilon, size_sum, weight_ratio)

    def forward(self, output: ModelOutput, labels: Tensor) -> Terms:
        return {
            f"MultiLabelLoss_{name}": self.multi_label(
                read_model(output, name, self.key, "DistillationMultiLabelLoss"), labels
            )
            for name in self.model_names
        }


class DistillationCELoss(BatchLoss):
    """Cross-entropy of a student with its teacher's probabilities; only the student learns.

    Logged as ``CELoss_Student_Teacher``.

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, at temperature 1.
    https://arxiv.org/abs/1503.02531

    Args:
        model_name_pairs: Student and teacher of each pair.
        label_smoothing: Share of the teacher's probability spread evenly over all classes.
        key: Which of the models' outputs; ``logits`` if null.

    Shape:
        - the outputs: ``[B, C]``; labels are not used.

    Example:
        >>> import torch
        >>> same = {"logits": torch.zeros(1, 2)}
        >>> loss = DistillationCELoss([("Student", "Teacher")])
        >>> loss({"Student": same, "Teacher": same}, torch.tensor([0]))
        {'CELoss_Student_Teacher': tensor(0.6931)}
    """

    reads: tuple[str, ...] = ()

    def __init__(
        self,
        model_name_pairs: Pairs,
        label_smoothing: float | None = None,
        key: str | None = None,
    ) -> None:
        super().__init__()
        self.reads = names_of(model_name_pairs, "DistillationCELoss")
        self.model_name_pairs, self.key = model_name_pairs, key
        smoothing = label_smoothing or 0.0
        self.label_smoothing = smoothing if 0.0 < smoothing < 1.0 else 0.0

    def forward(self, output: ModelOutput, labels: Tensor) -> Terms:
        terms = {}
        for student, teacher in self.model_name_pairs:
            ours = read_model(output, student, self.key, "DistillationCELoss")
            theirs = read_model(output, teacher, self.key, "DistillationCELoss").detach()
            terms[f"CELoss_{student}_{teacher}"] = F.cross_entropy(
                ours, theirs.softmax(dim=1), label_smoothing=self.label_smoothing
            )
        return terms


class DistillationDistanceLoss(BatchLoss):
    """Distance of two models' outputs, number by number; both learn unless one is frozen.

    Logged as ``loss_l2_loss_l2_0``, the number being the pair's.

    Args:
        model_name_pairs: The two models of each pair.
        mode: As in DistanceLoss.
        act: Applied to both outputs first, or null.
        key: Which of the models' outputs; ``logits`` if null.
        reduction: ``mean`` or ``sum`` over all numbers, or ``none``.
        log_name: Begin of the name in the log.
        delta: As in DistanceLoss.

    Shape:
        - the outputs: of one shape; labels are not used.

    Example:
        >>> import torch
        >>> loss = DistillationDistanceLoss([("Student", "Teacher")], key="features")
        >>> one, two = {"features": torch.zeros(1, 2)}, {"features": torch.ones(1, 2)}
        >>> loss({"Student": one, "Teacher": two}, torch.tensor([0]))
        {'loss_l2_loss_l2_0': tensor(1.)}
    """

    reads: tuple[str, ...] = ()

    def __init__(
        self,
        model_name_pairs: Pairs,
        mode: Mode = "l2",
        act: Literal["softmax", "sigmoid"] | None = None,
        key: str | None = None,
        reduction: Reduction = "mean",
        log_name: str = "loss_",
        delta: float = 1.0,
    ) -> None:
        super().__init__()
        self.reads = names_of(model_name_pairs, "DistillationDistanceLoss")
        self.model_name_pairs, self.act, self.key = model_name_pairs, act, key
        self.log_name = f"{log_name}{mode}_loss_{mode}"
        self.distance = DistanceLoss(mode, reduction, delta)

    def forward(self, output: ModelOutput, labels: Tensor) -> Terms:
        return {
            f"{self.log_name}_{number}": self.distance(
                self._activated(output, one), self._activated(output, two)
            )
            for number, (one, two) in enumerate(self.model_name_pairs)
        }

    def _activated(self, output: ModelOutput, model: str) -> Tensor:
        values = read_model(output, model, self.key, "DistillationDistanceLoss")
        return activated(values, self.act)


class DistillationRKDLoss(BatchLoss):
    """Relational distillation of distances and angles, RkdDistance plus RkdAngle.

    Logged as ``loss_angle_0_Student_Teacher`` and ``loss_dist_0_Student_Teacher``, the number
    being that of the key.

    Source: Park et al., "Relational Knowledge Distillation", CVPR 2019.
    https://arxiv.org/abs/1904.05068

    Args:
        student_keepkeys: Which of the student's outputs to compare.
        teacher_keepkeys: With which of the teacher's, as many.
        model_name_pairs: Student and teacher of each pair; null is Student and Teacher.
        target_size: As in RkdDistance.

    Shape:
        - the outputs: ``[B, D]`` or ``[B, D, H, W]``; D may differ. Labels are not used.

    Example:
        >>> import torch
        >>> loss = DistillationRKDLoss(["features"], ["features"])
        >>> same = {"features": torch.eye(3)}
        >>> list(loss({"Student": same, "Teacher": same}, torch.arange(3)))
        ['loss_angle_0_Student_Teacher', 'loss_dist_0_Student_Teacher']
    """

    reads: tuple[str, ...] = ()

    def __init__(
        self,
        student_keepkeys: list[str],
        teacher_keepkeys: list[str],
        model_name_pairs: Pairs | None = None,
        target_size: TargetSize | None = None,
    ) -> None:
        super().__init__()
        if len(student_keepkeys) != len(teacher_keepkeys) or not student_keepkeys:
            raise ValueError(
                "student_keepkeys and teacher_keepkeys go in pairs, at least one, such as "
                f"[features]; got {student_keepkeys} and {teacher_keepkeys}."
            )
        pairs = [("Student", "Teacher")] if model_name_pairs is None else model_name_pairs
        self.reads = names_of(pairs, "DistillationRKDLoss")
        self.model_name_pairs = pairs
        self.keys = list(zip(student_keepkeys, teacher_keepkeys, strict=True))
        self.angle, self.distance = RkdAngle(target_size), RkdDistance(target_size=target_size)

    def forward(self, output: ModelOutput, labels: Tensor) -> Terms:
        terms = {}
        for student, teacher in self.model_name_pairs:
            for number, (our_key, their_key) in enumerate(self.keys):
                ours = read_model(output, student, our_key, "DistillationRKDLoss")
                theirs = read_model(output, teacher, their_key, "DistillationRKDLoss")
                at = f"{number}_{student}_{teacher}"
                terms[f"loss_angle_{at}"] = self.angle(ours, theirs)
                terms[f"loss_dist_{at}"] = self.distance(ours, theirs)
        return terms
