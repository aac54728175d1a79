"""Any loss between two tensors, on any two layers of a student and its teacher."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.decoupled import DISTLoss
from lookalike.losses.distance import DistanceLoss
from lookalike.losses.feature_distillation import MGDLoss, PEFDLoss
from lookalike.losses.mutual import DMLLoss, KLDivLoss
from lookalike.losses.relational import RkdAngle, RkdDistance
from lookalike.losses.two_models import Pairs, Terms, names_of, read_model
from lookalike.types import ModelOutput

BaseLoss = Literal[
    "DISTLoss", "DMLLoss", "DistanceLoss", "KLDivLoss", "MGDLoss", "PEFDLoss", "RKdAngle",
    "RkdAngle", "RkdDistance",
]  # fmt: skip
_BASES: dict[BaseLoss, type[nn.Module]] = {
    "DISTLoss": DISTLoss,
    "DMLLoss": DMLLoss,
    "DistanceLoss": DistanceLoss,
    "KLDivLoss": KLDivLoss,
    "MGDLoss": MGDLoss,
    "PEFDLoss": PEFDLoss,
    "RKdAngle": RkdAngle,
    "RkdAngle": RkdAngle,
    "RkdDistance": RkdDistance,
}


class DistillationPairLoss(BatchLoss):
    """A loss of two tensors, on outputs of a student and its teacher.

    Logged as ``loss_0_Student_Teacher``, the number being that of the key.

    Args:
        base_loss: Which loss; those of labels have distillation losses of their own.
        model_name_pairs: Student and teacher of each pair.
        s_key: Which of the student's outputs, or several; ``logits`` if null.
        t_key: With which of the teacher's, as many.
        log_name: Begin of the name in the log.
        **kwargs: Of the base loss.

    Shape:
        - the outputs: As the base loss has them; labels are not used.

    Raises:
        ValueError: If the keys do not go in pairs.

    Example:
        >>> import torch
        >>> loss = DistillationPairLoss("DistanceLoss", [("Student", "Teacher")], mode="l1")
        >>> one, two = {"logits": torch.zeros(1, 2)}, {"logits": torch.ones(1, 2)}
        >>> loss({"Student": one, "Teacher": two}, torch.tensor([0]))
        {'loss_0_Student_Teacher': tensor(1.)}
    """

    reads: tuple[str, ...] = ()

    def __init__(
        self,
        base_loss: BaseLoss,
        model_name_pairs: Pairs,
        s_key: str | list[str] | None = None,
        t_key: str | list[str] | None = None,
        log_name: str = "loss",
        **kwargs: Any,
    ) -> None:
        super().__init__()
        ours, theirs = (key if isinstance(key, list) else [key] for key in (s_key, t_key))
        if len(ours) != len(theirs) or not ours:
            raise ValueError(f"s_key and t_key go in pairs; got {s_key} and {t_key}.")
        self.reads = names_of(model_name_pairs, "DistillationPairLoss")
        self.model_name_pairs, self.log_name = model_name_pairs, log_name
        self.keys: list[tuple[str | None, str | None]] = list(zip(ours, theirs, strict=True))
        self.base = _BASES[base_loss](**kwargs)

    def forward(self, output: ModelOutput, labels: Tensor) -> Terms:
        name = "DistillationPairLoss"
        return {
            f"{self.log_name}_{number}_{student}_{teacher}": self.base(
                read_model(output, student, our_key, name),
                read_model(output, teacher, their_key, name),
            )
            for student, teacher in self.model_name_pairs
            for number, (our_key, their_key) in enumerate(self.keys)
        }
