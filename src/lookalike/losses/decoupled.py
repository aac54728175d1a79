"""Distillation of logits in refined forms: decoupled, spherical, weighted, by correlation."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.two_models import two_tensors


def _true_class(teacher: Tensor, labels: Tensor | None, guess: bool) -> Tensor:
    """Return the labels ``[B]``, or what the teacher thinks they are."""
    if labels is None or guess:
        return teacher.argmax(dim=-1)
    return labels.reshape(-1)


class DKDLoss(BatchLoss):
    """Knowledge distillation with the true class and the others taken apart.

    ``T^2 (alpha KL(true class against the rest) + beta KL(within the rest))``; only the student
    learns.

    Source: Zhao et al., "Decoupled Knowledge Distillation", CVPR 2022, eq. 7.
    https://arxiv.org/abs/2203.08679

    Args:
        temperature: T, divides the logits. No unit.
        alpha: Weight of the true class against the rest.
        beta: Weight of the rest.
        use_target_as_gt: Take the teacher's choice for the true class instead of the label.

    Shape:
        - student, teacher: ``[B, C]`` each.
        - labels: ``[B]`` or ``[B, 1]`` int64; None as ``use_target_as_gt``.

    Example:
        >>> DKDLoss()(torch.zeros(2, 3), torch.zeros(2, 3), torch.tensor([0, 2])).abs()
        tensor(0.)
    """

    reads: tuple[str, ...] = ()

    def __init__(
        self,
        temperature: float = 1.0,
        alpha: float = 1.0,
        beta: float = 1.0,
        use_target_as_gt: bool = False,
    ) -> None:
        super().__init__()
        self.temperature, self.alpha, self.beta = temperature, alpha, beta
        self.use_target_as_gt = use_target_as_gt

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor | None = None) -> Tensor:
        student, teacher = two_tensors(student, teacher, "DKDLoss")
        teacher = teacher.detach()
        true = _true_class(teacher, labels, self.use_target_as_gt)
        is_true = F.one_hot(true, student.shape[1]).bool()
        ours = self._split(student / self.temperature, is_true)
        theirs = self._split(teacher / self.temperature, is_true)
        against = F.kl_div(ours[0], theirs[0], reduction="batchmean", log_target=True)
        within = F.kl_div(ours[1], theirs[1], reduction="batchmean", log_target=True)
        return (self.alpha * against + self.beta * within) * self.temperature**2

    @staticmethod
    def _split(logits: Tensor, is_true: Tensor) -> tuple[Tensor, Tensor]:
        """Return log probabilities of (true, rest), and of each class within the rest."""
        log_all = logits.log_softmax(dim=1)
        # far below, yet finite: the true class has no part in the rest
        rest = logits.masked_fill(is_true, -1000.0)
        log_rest = log_all.masked_fill(is_true, -1000.0).logsumexp(dim=1)
        log_true = log_all.masked_fill(~is_true, 0.0).sum(dim=1)
        return torch.stack([log_true, log_rest], dim=1), rest.log_softmax(dim=1)


class SKDLoss(BatchLoss):
    """Spherical distillation: logits are brought to one length before they are compared.

    Both models' logits are normalised over the classes and multiplied; then ``alpha T^2`` times
    the cross-entropy with the teacher plus ``1 - alpha`` times that with the label.

    Source: Guo et al., "Reducing the Teacher-Student Gap via Spherical Knowledge Distillation",
    2020. https://arxiv.org/abs/2010.07485

    Args:
        temperature: T, divides the normalised logits. No unit.
        multiplier: Length of the logits, as a multiple of their standard deviation.
        alpha: Share of the teacher, in [0, 1].
        use_target_as_gt: Take the teacher's choice for the true class instead of the label.

    Shape:
        - student, teacher: ``[B, C]`` each.
        - labels: ``[B]`` or ``[B, 1]`` int64; None as ``use_target_as_gt``.

    Example:
        >>> SKDLoss(temperature=1.0)(torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([0]))
        tensor(0.6931)
    """

    reads: tuple[str, ...] = ()

    def __init__(
        self,
        temperature: float,
        multiplier: float = 2.0,
        alpha: float = 0.9,
        use_target_as_gt: bool = False,
    ) -> None:
        super().__init__()
        self.temperature, self.multiplier, self.alpha = temperature, multiplier, alpha
        self.use_target_as_gt = use_target_as_gt

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor | None = None) -> Tensor:
        student, teacher = two_tensors(student, teacher, "SKDLoss")
        true = _true_class(teacher, labels, self.use_target_as_gt)
        width = student.shape[1:]
        student = F.layer_norm(student, width, eps=1e-7) * self.multiplier
        teacher = F.layer_norm(teacher, width, eps=1e-7) * self.multiplier
        theirs = (teacher / self.temperature).softmax(dim=1)
        copied = F.cross_entropy(student / self.temperature, theirs) * self.temperature**2
        return self.alpha * copied + (1.0 - self.alpha) * F.cross_entropy(student, true)


class WSLLoss(BatchLoss):
    """Soft labels weighted by how much harder an image is for the student than for the teacher.

    ``T^2 mean[(1 - exp(-CE(student) / CE(teacher))) CE(softmax(s / T), softmax(t / T))]``.

    Source: Zhou et al., "Rethinking Soft Labels for Knowledge Distillation: A Bias-Variance
    Tradeoff Perspective", ICLR 2021. https://arxiv.org/abs/2102.00650

    Args:
        temperature: T, divides the logits. No unit.
        use_target_as_gt: Take the teacher's choice for the true class instead of the label.

    Shape:
        - student, teacher: ``[B, C]`` each.
        - labels: ``[B]`` or ``[B, 1]`` int64; None as ``use_target_as_gt``.

    Example:
        >>> WSLLoss()(torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([0]))
        tensor(1.7526)
    """

    reads: tuple[str, ...] = ()

    def __init__(self, temperature: float = 2.0, use_target_as_gt: bool = False) -> None:
        super().__init__()
        self.temperature, self.use_target_as_gt = temperature, use_target_as_gt

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor | None = None) -> Tensor:
        student, teacher = two_tensors(student, teacher, "WSLLoss")
        true = _true_class(teacher, labels, self.use_target_as_gt)
        ours = F.cross_entropy(student.detach(), true, reduction="none")
        theirs = F.cross_entropy(teacher.detach(), true, reduction="none")
        weight = 1.0 - (-ours / (theirs + 1e-7)).exp()
        soft = (teacher / self.temperature).softmax(dim=1)
        cost = F.cross_entropy(student / self.temperature, soft, reduction="none")
        return self.temperature**2 * (weight * cost).mean()


class DISTLoss(BatchLoss):
    """Correlation instead of equality: of classes within an image, of images within a class.

    ``beta (1 - mean r over rows) + gamma (1 - mean r over columns)`` of the probabilities, r
    being Pearson's correlation.

    Source: Huang et al., "Knowledge Distillation from A Stronger Teacher", NeurIPS 2022. https://arxiv.org/abs/2205.10536

    Args:
        beta: Weight of the correlation within an image.
        gamma: Weight of the correlation within a class.

    Shape:
        - student, teacher: ``[B, C]`` each.

    Example:
        >>> logits = torch.tensor([[1.0, 2.0, 4.0], [3.0, 0.0, 0.0]])
        >>> DISTLoss()(logits, logits).item() < 1e-5
        True
    """

    reads: tuple[str, ...] = ()

    def __init__(self, beta: float = 1.0, gamma: float = 1.0) -> None:
        super().__init__()
        self.beta, self.gamma = beta, gamma

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = two_tensors(student, teacher, "DISTLoss")
        p, q = student.softmax(dim=1), teacher.softmax(dim=1)
        return self.beta * self._unlike(p, q) + self.gamma * self._unlike(p.T, q.T)

    @staticmethod
    def _unlike(a: Tensor, b: Tensor) -> Tensor:
        a, b = a - a.mean(dim=1, keepdim=True), b - b.mean(dim=1, keepdim=True)
        norms = torch.linalg.vector_norm(a, dim=1) * torch.linalg.vector_norm(b, dim=1)
        correlation: Tensor = (a * b).sum(dim=1) / (norms + 1e-8)
        return 1.0 - correlation.mean()
