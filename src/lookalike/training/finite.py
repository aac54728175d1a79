"""The guard against losses and gradients that are no numbers any more."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lookalike.durable import whole_file
from lookalike.errors import DivergedError, SetupError
from lookalike.training.update import Update

FILE = "diverged.json"
# steps whose losses are kept on the device before they are looked at
_MOST = 100


@dataclass(frozen=True)
class Step:
    """What a step computed: its number in the run, its place, its images, its loss.

    Attributes:
        number: From 0 over the whole run.
        epoch: From 0.
        index: From 0 in the epoch.
        images: ``[B]`` int64, places in the data set.
        terms: Of the loss, with their sum under ``loss``.
        gradient: Length of all gradients together; None where there are none to look at.
    """

    number: int
    epoch: int
    index: int
    images: Tensor
    terms: Mapping[str, Tensor]
    gradient: Tensor | None = None


class FiniteGuard:
    """Stops a run at the first step whose loss or gradient is not finite, and says which.

    Looking at a number waits for the device, so the steps are noted and looked at together: on a
    CPU after each, elsewhere before each line of the log and each checkpoint. The step that was
    first is found exactly. No checkpoint is saved after it; on a CPU the weights are intact too,
    because the optimisers have not stepped.

    Gradients are not looked at where the loss is scaled (an infinite one is then met by a smaller
    scale) and where a head steps within the backward pass (they never exist as a whole); such a
    run stops at the next step's loss.

    Args:
        folder: Gets ``diverged.json``.
        update: Whose gradients are looked at.
        names: Data-set index to file.
    """

    def __init__(self, folder: Path, update: Update, names: Sequence[str] = ()) -> None:
        self.folder, self.update, self.names = folder, update, names
        self.noted: list[Step] = []
        self.good: Step | None = None
        self.statistics: Mapping[str, Any] = {}

    def note(self, step: Step) -> None:
        """Take in a step, before its gradients are applied."""
        terms = {name: term.detach() for name, term in step.terms.items()}
        self.noted.append(replace(step, terms=terms, gradient=self._gradient()))
        if len(self.noted) >= _MOST:
            self.confirm()

    def confirm(self) -> None:
        """Look at all steps that were noted; waits for the device.

        Raises:
            DivergedError: Names the first step that is not finite, its terms and its images.
        """
        noted, self.noted = self.noted, []
        if not noted:
            return
        losses = torch.stack([step.terms["loss"].double() for step in noted]).tolist()
        lengths = [step.gradient for step in noted if step.gradient is not None]
        known = iter(torch.stack(lengths).tolist() if lengths else ())
        for step, loss in zip(noted, losses, strict=True):
            gradient = 0.0 if step.gradient is None else next(known)
            if not math.isfinite(loss):
                self._stop("loss", step, noted[-1])
            if not math.isfinite(gradient):
                self._stop("gradient", step, noted[-1])
            self.good = step

    def _gradient(self) -> Tensor | None:
        if self.update.precision.scaler.is_enabled():
            return None
        gradients = [
            parameter.grad
            for one in self.update.optimizers
            for group in one.optimizer.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        if not gradients:
            return None
        length: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        return length

    def _stop(self, what: str, step: Step, newest: Step) -> None:
        values = ", ".join(f"{name}: {float(term):g}" for name, term in step.terms.items())
        if step.gradient is not None:
            values += f", length of the gradient: {float(step.gradient):g}"
        images = [self.names[i] for i in step.images.tolist()] if self.names else []
        told = "" if step is newest else f" It was found {newest.number - step.number} steps later."
        files = f" First images of the batch: {', '.join(images[:8])}." if images else ""
        with suppress(SetupError):
            self._write(what, step, newest, images)
            files += f" All {len(step.images)} are in {self.folder / FILE}, with the last numbers."
        raise DivergedError(
            f"the {what} is not finite in epoch {step.epoch + 1}, iteration {step.index} "
            f"({values}).{told}{files} A lower learning rate, a longer warm-up or "
            "clip_global_norm usually helps."
        )

    def _write(self, what: str, step: Step, newest: Step, images: Sequence[str]) -> None:
        facts = {
            "what": f"the {what} is not finite",
            "found_at_step": newest.number,
            **_facts(step),
            "parameters": self._damaged() if step is newest else [],
            "images": list(images),
            "indices": step.images.tolist(),
            "last_finite": None if self.good is None else _facts(self.good),
            "last_statistics": dict(self.statistics),
        }
        with whole_file(self.folder / FILE) as unfinished:
            unfinished.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")

    def _damaged(self) -> list[str]:
        """Return the names of parameters whose gradient is not finite."""
        named = [*self.update.model.named_parameters(), *self.update.loss.named_parameters()]
        return [n for n, p in named if p.grad is not None and not bool(p.grad.isfinite().all())]


def _facts(step: Step) -> dict[str, Any]:
    length = None if step.gradient is None else _number(float(step.gradient))
    return {
        "step": step.number,
        "epoch": step.epoch + 1,
        "iteration": step.index,
        "terms": {name: _number(float(term)) for name, term in step.terms.items()},
        "gradient": length,
    }


def _number(value: float) -> float | str:
    """Return a number that JSON has, or its name."""
    return value if math.isfinite(value) else str(value)
