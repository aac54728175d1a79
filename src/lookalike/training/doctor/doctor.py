"""Looks at a run when it prints, and says what it is ill with, once each."""

from __future__ import annotations

from torch import nn

from lookalike.training.doctor.collapse import Collapse
from lookalike.training.doctor.head_norms import HeadNorms
from lookalike.training.doctor.look import Finding, Look, Symptom
from lookalike.training.doctor.mining import DeadMining
from lookalike.training.doctor.rates import LongWarmUp, NoRate
from lookalike.training.doctor.stragglers import Stragglers
from lookalike.training.doctor.stuck import Stuck, has_margin, losses_of
from lookalike.training.run_log import RunLog
from lookalike.training.update import Update

# they read embeddings, but no pairs of them
_NOT_OVER_PAIRS = ("CenterLoss", "MagnitudeLoss")


class Doctor:
    """Recognises illnesses of a run from what is there when it prints; it changes nothing.

    Each is told once, as a line for a person and a record for a program, and all again at the end.
    docs/training_doctor.md has the limits and their reasons.

    Args:
        update: Model, losses and optimisers.
        log: Where to tell.
        per_epoch: Batches per epoch.
    """

    def __init__(self, update: Update, log: RunLog, *, per_epoch: int) -> None:
        self.log = log
        self.found: list[tuple[int, Finding]] = []
        self.stragglers = Stragglers()
        optimizers, heads = update.optimizers, _heads(update.model)
        self.symptoms: list[Symptom] = [
            LongWarmUp(optimizers, accumulate=update.accumulate, per_epoch=per_epoch),
            NoRate(optimizers),
            Collapse(),
            HeadNorms(heads),
        ]
        num_classes = next(
            (h.num_classes for h in heads.values() if hasattr(h, "num_classes")), None
        )
        for name, (loss, weight) in losses_of(update.loss).items():
            self.symptoms.append(Stuck(name, loss, weight, num_classes))  # type: ignore[arg-type]
            reads = set(getattr(loss, "reads", ()))
            pairs = reads & {"features", "backbone"} or has_margin(loss)
            if pairs and type(loss).__name__ not in _NOT_OVER_PAIRS:
                self.symptoms.append(DeadMining(name))

    def look(self, look: Look) -> None:
        """Look at a batch, and at the pace of the other processes; tell what is found."""
        # not forgiven like an error of a symptom: the others would wait for this one
        straggling = self.stragglers.look()
        if straggling is not None:
            self._tell(look.step, straggling)
        for symptom in list(self.symptoms):
            try:
                finding = symptom(look)
            except Exception as error:  # noqa: BLE001 - a doctor must never end a training run
                self.symptoms.remove(symptom)
                self.log.line(f"[Doctor] {type(symptom).__name__} cannot look at this run: {error}")
                continue
            if finding is not None:
                self.symptoms.remove(symptom)
                self._tell(look.step, finding)

    def _tell(self, step: int, finding: Finding) -> None:
        self.found.append((step, finding))
        self.log.line(
            f"[Doctor] {finding.what}. Seen at step {step:,}: {finding.evidence}. What to do: "
            f"{finding.remedy}."
        )
        self.log.record("doctor", {"step": step, **vars(finding)})

    def conclude(self) -> None:
        """Repeat at the end of a run what was found, where it is read."""
        if self.found:
            seen = "; ".join(f"{finding.what} (step {step:,})" for step, finding in self.found)
            self.log.line(f"[Doctor] Found in this run: {seen}. The lines above say what to do.")


def _heads(model: nn.Module) -> dict[str, nn.Module]:
    """Return the head of a model, or of each of several by their names."""
    found = {}
    for name, module in model.named_modules():
        head = getattr(module, "head", None)
        if isinstance(head, nn.Module) and hasattr(head, "num_classes"):
            found[name] = head
    return found
