"""The evaluation of a classifier: metrics of the logits, and the losses of ``Loss.Eval``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from lookalike import processes
from lookalike.assembly.load import Run
from lookalike.assembly.parts import make_loss
from lookalike.config.schema import DistillationSection
from lookalike.errors import ConfigError
from lookalike.losses import WeightedSum
from lookalike.models.evaluating import evaluating
from lookalike.training import RunLog
from lookalike.types import Batch


class EvalLosses:
    """The losses of ``Loss.Eval`` on the output of the evaluated model, without gradients.

    Args:
        total: Their weighted sum.
        model: The evaluated model's name among several, under which losses may read it.
    """

    def __init__(self, total: WeightedSum, model: str | None) -> None:
        self.total = total.eval()
        # processes have different numbers of batches, so none may wait for the others in a loss
        self.total.gathers = frozenset()
        self.model = model

    @torch.no_grad()
    def __call__(self, output: Mapping[str, Any], labels: Tensor) -> dict[str, Tensor]:
        """Return every term and their sum under ``loss``."""
        if self.model is not None:
            output = {**output, self.model: output}
        return self.total(dict(output), labels)  # type: ignore[no-any-return]


def eval_losses(run: Run, notes: list[str]) -> EvalLosses | None:
    """Build the losses of ``Loss.Eval``, if they are computed in this run's ``eval_mode``.

    Args:
        run: The checked configuration.
        notes: Gets one for each loss that cannot be computed, and why.
    """
    section, arch = run.config.Loss, run.config.Arch
    if run.config.Global.eval_mode != "classification" or section is None or not section.Eval:
        return None
    chosen, others = None, set[str]()
    if isinstance(arch, DistillationSection):
        chosen = arch.infer_model_name
        others = set(arch.members) - {chosen}
    kept = []
    for spec in section.Eval:
        (loss,) = make_loss([spec], run.allow_import).losses.values()
        if next(loss.parameters(), None) is not None:
            notes.append(f"Loss.Eval: {spec.name} is not computed; training learns its weights.")
        elif others & set(getattr(loss, "reads", ())):
            notes.append(f"Loss.Eval: {spec.name} is not computed; only {chosen} is evaluated.")
        else:
            kept.append(spec)
    return EvalLosses(make_loss(kept, run.allow_import), chosen) if kept else None


def classification_scores(
    model: nn.Module,
    batches: Iterable[Batch],
    number: int,
    metrics: Sequence[Any],
    losses: EvalLosses | None,
    *,
    device: torch.device,
    log: RunLog,
) -> dict[str, float]:
    """Return the means over images of the metrics, then of the losses, by name.

    Args:
        model: With a head.
        batches: Images with their labels.
        number: How many images they are.
        metrics: Of logits and labels.
        losses: As ``Loss.Eval`` has them, or None.
        device: Where the model is.
        log: Shows the progress.

    Raises:
        ConfigError: If the model has no head.
    """
    found: list[dict[str, float]] = []
    with evaluating(model), log.bar("classifying", number) as bar:
        for batch in batches:
            on_device = batch.to(device)
            output = model(on_device.images, on_device.labels)
            if "logits" not in output:
                raise ConfigError("eval_mode 'classification' needs an Arch.Head.")
            scores: dict[str, Tensor] = {}
            for metric in metrics:
                scores |= metric(output, on_device.labels)
            if losses is not None:
                scores |= losses(output, on_device.labels)
            found.append(
                {name: float(value.mean()) * len(batch.labels) for name, value in scores.items()}
            )
            bar.advance(len(batch.labels))
    # batch by batch in the order of one process, so the sums are the same to the last digit
    sums: dict[str, float] = {}
    for together in zip_longest(*processes.each(found), fillvalue={}):
        for own in together:
            for name, value in own.items():
                sums[name] = sums.get(name, 0.0) + value
    return {name: total / number for name, total in sums.items()}
