"""Heads that step their weight within the backward pass, where the optimiser allows it."""

from __future__ import annotations

from collections.abc import Sequence

from lookalike import processes
from lookalike.assembly.job import Job
from lookalike.assembly.reads import reads_of
from lookalike.models.heads.cosine_classifier import CosineClassifier
from lookalike.optim import RowsInBackward, ScheduledOptimizer


def step_in_backward(
    job: Job, optimizers: Sequence[ScheduledOptimizer], *, accumulates: bool, scales: bool
) -> str | None:
    """Let the head step its weight within the backward pass; say why where it cannot.

    Args:
        job: The job whose head it is.
        optimizers: One of them has the head's weight.
        accumulates: Several batches make a step.
        scales: The loss is scaled for half precision.
    """
    head = getattr(job.model, "head", None)
    if not isinstance(head, CosineClassifier) or not head.in_parts:
        return None
    assert job.run.config.Loss is not None
    readers = [s for s in job.run.config.Loss.Train if "logits" in reads_of(job.run, s)]
    fitting = [one for one in optimizers if RowsInBackward.fits(one, head.weight)]
    reasons = {
        "Global.update_freq gathers the gradients of several batches": accumulates,
        "AMP scales the gradients": scales,
        f"it is averaged over {processes.count()} processes; sharded: True deals the classes to "
        "them": processes.count() > 1 and not head.sharded,
        f"{len(readers)} losses read the logits": len(readers) != 1,
        "only Momentum and SGD without clipping and L1 decay can step some rows": not fitting,
    }
    found = [reason for reason, holds in reasons.items() if holds]
    if not found:
        head.update = RowsInBackward(fitting[0], head.weight)
        return None
    rows, width = head.weight.shape
    note = (
        f"the gradient of the head's weight, {rows} x {width}, is held whole, because {found[0]}."
    )
    if head.sample_rate < 1.0:
        note += " Classes that are not drawn are decayed as well."
    return note
