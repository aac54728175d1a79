"""Losses between the logits of the models of a DistillationModel, one per plain loss.

Each returns its terms by the names that the reference logs.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.decoupled import DISTLoss, DKDLoss, SKDLoss, WSLLoss
from lookalike.losses.mutual import DMLLoss, KLDivLoss
from lookalike.losses.two_models import Pairs, Terms, names_of, read_model
from lookalike.types import ModelOutput


class _OfPairs(BatchLoss):
    """A plain loss over pairs of models."""

    reads: tuple[str, ...] = ()

    def __init__(
        self, model_name_pairs: Pairs, key: str | None, log_name: str, plain: nn.Module
    ) -> None:
        super().__init__()
        self.reads = names_of(model_name_pairs, type(self).__name__)
        self.model_name_pairs, self.key, self.log_name = model_name_pairs, key, log_name
        self.plain = plain
        self.with_labels, self.numbered = False, False

    def forward(self, output: ModelOutput, labels: Tensor) -> Terms:
        terms = {}
        more = (labels,) if self.with_labels else ()
        for number, (student, teacher) in enumerate(self.model_name_pairs):
            ours = read_model(output, student, self.key, type(self).__name__)
            theirs = read_model(output, teacher, self.key, type(self).__name__)
            name = f"{self.log_name}_{student}_{teacher}" + (f"_{number}" if self.numbered else "")
            terms[name] = self.plain(ours, theirs, *more)
        return terms


class DistillationDMLLoss(_OfPairs):
    """Mutual learning of two models, DMLLoss; logged as ``DMLLoss_Student_Teacher_0``.

    Source: Zhang et al., "Deep Mutual Learning", CVPR 2018. https://arxiv.org/abs/1706.00384

    Args:
        model_name_pairs: The two models of each pair; both learn.
        act: What makes probabilities of the outputs; null if they are some already.
        weight_ratio: Weigh classes as in MultiLabelLoss; the labels are then ``[B, 2, C]``.
        sum_across_class_dim: Sum over the classes instead of taking their mean.
        key: Which of the models' outputs; ``logits`` if null.

    Shape:
        - the outputs: ``[B, C]``; labels are not used without ``weight_ratio``.

    Example:
        >>> import torch
        >>> same = {"logits": torch.zeros(1, 2)}
        >>> loss = DistillationDMLLoss([("Student", "Teacher")])
        >>> loss({"Student": same, "Teacher": same}, torch.tensor([0]))
        {'DMLLoss_Student_Teacher_0': tensor(0.)}
    """

    def __init__(
        self,
        model_name_pairs: Pairs,
        act: Literal["softmax", "sigmoid"] | None = "softmax",
        weight_ratio: bool = False,
        sum_across_class_dim: bool = False,
        key: str | None = None,
    ) -> None:
        super().__init__(model_name_pairs, key, "DMLLoss", DMLLoss(act, sum_across_class_dim))
        self.with_labels, self.numbered = weight_ratio, True


class DistillationKLDivLoss(_OfPairs):
    """Kullback-Leibler divergence from the teacher, KLDivLoss.

    Logged as ``loss_kldiv_Student_Teacher``.

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015.
    https://arxiv.org/abs/1503.02531

    Args:
        model_name_pairs: Student and teacher of each pair.
        temperature: Divides the logits. No unit.
        key: Which of the models' outputs; ``logits`` if null.

    Shape:
        - the outputs: ``[B, C]``; labels are not used.

    Example:
        >>> import torch
        >>> same = {"logits": torch.zeros(1, 2)}
        >>> loss = DistillationKLDivLoss([("Student", "Teacher")])
        >>> loss({"Student": same, "Teacher": same}, torch.tensor([0]))
        {'loss_kldiv_Student_Teacher': tensor(0.)}
    """

    def __init__(
        self, model_name_pairs: Pairs, temperature: float = 4.0, key: str | None = None
    ) -> None:
        super().__init__(model_name_pairs, key, "loss_kldiv", KLDivLoss(temperature))


class DistillationDKDLoss(_OfPairs):
    """Decoupled distillation, DKDLoss; logged as ``loss_dkd_Student_Teacher``.

    Source: Zhao et al., "Decoupled Knowledge Distillation", CVPR 2022.
    https://arxiv.org/abs/2203.08679

    Args:
        model_name_pairs: Student and teacher of each pair.
        key: Which of the models' outputs; ``logits`` if null.
        temperature: Divides the logits. No unit.
        alpha: Weight of the true class against the rest.
        beta: Weight of the rest.
        use_target_as_gt: Take the teacher's choice for the true class instead of the label.
        log_name: Begin of the name in the log.

    Shape:
        - the outputs: ``[B, C]``.
        - labels: ``[B]`` or ``[B, 1]`` int64.

    Example:
        >>> import torch
        >>> same = {"logits": torch.zeros(1, 2)}
        >>> loss = DistillationDKDLoss([("Student", "Teacher")])
        >>> list(loss({"Student": same, "Teacher": same}, torch.tensor([0])))
        ['loss_dkd_Student_Teacher']
    """

    def __init__(
        self,
        model_name_pairs: Pairs,
        key: str | None = None,
        temperature: float = 1.0,
        alpha: float = 1.0,
        beta: float = 1.0,
        use_target_as_gt: bool = False,
        log_name: str = "loss_dkd",
    ) -> None:
        plain = DKDLoss(temperature, alpha, beta, use_target_as_gt)
        super().__init__(model_name_pairs, key, log_name, plain)
        self.with_labels = True


class DistillationSKDLoss(_OfPairs):
    """Spherical distillation, SKDLoss; logged as ``skd_loss_Student_Teacher``.

    Source: Guo et al., "Reducing the Teacher-Student Gap via Spherical Knowledge Distillation",
    2020. https://arxiv.org/abs/2010.07485

    Args:
        model_name_pairs: Student and teacher of each pair.
        key: Which of the models' outputs; ``logits`` if null.
        temperature: Divides the normalised logits. No unit.
        multiplier: Length of the logits, as a multiple of their standard deviation.
        alpha: Share of the teacher, in [0, 1].
        use_target_as_gt: Take the teacher's choice for the true class instead of the label.
        log_name: Begin of the name in the log.

    Shape:
        - the outputs: ``[B, C]``.
        - labels: ``[B]`` or ``[B, 1]`` int64.

    Example:
        >>> import torch
        >>> same = {"logits": torch.zeros(1, 2)}
        >>> loss = DistillationSKDLoss([("Student", "Teacher")])
        >>> loss({"Student": same, "Teacher": same}, torch.tensor([0]))
        {'skd_loss_Student_Teacher': tensor(0.6931)}
    """

    def __init__(
        self,
        model_name_pairs: Pairs,
        key: str | None = None,
        temperature: float = 1.0,
        multiplier: float = 2.0,
        alpha: float = 0.9,
        use_target_as_gt: bool = False,
        log_name: str = "skd_loss",
    ) -> None:
        plain = SKDLoss(temperature, multiplier, alpha, use_target_as_gt)
        super().__init__(model_name_pairs, key, log_name, plain)
        self.with_labels = True


class DistillationWSLLoss(_OfPairs):
    """Distillation with weighted soft labels, WSLLoss; logged as ``wsl_loss_Student_Teacher``.

    Source: Zhou et al., "Rethinking Soft Labels for Knowledge Distillation", ICLR 2021.
    https://arxiv.org/abs/2102.00650

    Args:
        model_name_pairs: Student and teacher of each pair.
        key: Which of the models' outputs; ``logits`` if null.
        temperature: Divides the logits. No unit.
        log_name: Begin of the name in the log.

    Shape:
        - the outputs: ``[B, C]``.
        - labels: ``[B]`` or ``[B, 1]`` int64.

    Example:
        >>> import torch
        >>> same = {"logits": torch.zeros(1, 2)}
        >>> loss = DistillationWSLLoss([("Student", "Teacher")])
        >>> loss({"Student": same, "Teacher": same}, torch.tensor([0]))
        {'wsl_loss_Student_Teacher': tensor(1.7526)}
    """

    def __init__(
        self,
        model_name_pairs: Pairs,
        key: str | None = None,
        temperature: float = 2.0,
        log_name: str = "wsl_loss",
    ) -> None:
        super().__init__(model_name_pairs, key, log_name, WSLLoss(temperature))
        self.with_labels = True


class DistillationDISTLoss(_OfPairs):
    """Distillation by correlation, DISTLoss; logged as ``loss_dist_Student_Teacher``.

    Source: Huang et al., "Knowledge Distillation from A Stronger Teacher", NeurIPS 2022.
    https://arxiv.org/abs/2205.10536

    Args:
        model_name_pairs: Student and teacher of each pair.
        key: Which of the models' outputs; ``logits`` if null.
        beta: Weight of the correlation within an image.
        gamma: Weight of the correlation within a class.
        log_name: Begin of the name in the log.

    Shape:
        - the outputs: ``[B, C]``; labels are not used.

    Example:
        >>> import torch
        >>> same = {"logits": torch.eye(2)}
        >>> loss = DistillationDISTLoss([("Student", "Teacher")])
        >>> list(loss({"Student": same, "Teacher": same}, torch.tensor([0, 1])))
        ['loss_dist_Student_Teacher']
    """

    def __init__(
        self,
        model_name_pairs: Pairs,
        key: str | None = None,
        beta: float = 1.0,
        gamma: float = 1.0,
        log_name: str = "loss_dist",
    ) -> None:
        super().__init__(model_name_pairs, key, log_name, DISTLoss(beta, gamma))
