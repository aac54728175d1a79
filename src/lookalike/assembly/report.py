"""What ``lookalike check`` tells of a run that has been built but not started."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from torch import nn

from lookalike.assembly.job import Job
from lookalike.assembly.training import make_trainer
from lookalike.assembly.untrained import parts_of_evaluation, weights_by_part
from lookalike.data import ImageDataset
from lookalike.training import RunLog

_BYTES = 4


@dataclass(frozen=True)
class CheckReport:
    """Facts by section, for people and for JSON."""

    facts: dict[str, Any]

    def lines(self) -> list[str]:
        """Return the facts as indented text."""
        out: list[str] = []
        for section, entries in self.facts.items():
            if isinstance(entries, dict):
                out.append(f"{section}:")
                out += [f"  {key}: {_text(value)}" for key, value in entries.items()]
            elif isinstance(entries, list):
                out.append(f"{section}:" if entries else f"{section}: none")
                out += [f"  - {entry}" for entry in entries]
            else:
                out.append(f"{section}: {_text(entries)}")
        return out


def check_report(job: Job) -> CheckReport:
    """Describe data, shapes, parameters, memory and length of a run."""
    facts: dict[str, Any] = {"device": str(job.device)}
    data = {}
    if job.train is not None and job.batches is not None:
        data["Train"] = _dataset(job.train) | {"batches per epoch": len(job.batches)}
    if job.evaluation is not None:
        data |= {split.name: _dataset(split.dataset) for split in job.evaluation.splits}
    facts["data"] = data
    facts["shapes"] = job.built.shapes
    facts["parameters"] = _parameters(job)
    facts["weights"] = weights_by_part(job.built)
    if job.train is not None:
        trainer = make_trainer(job, RunLog(quiet=True))
        steps = trainer.iterations_per_epoch // trainer.update.accumulate
        facts["training"] = {
            "epochs": trainer.epochs,
            "batches per epoch": trainer.iterations_per_epoch,
            "optimizer steps": trainer.epochs * steps,
            "learning rate, first and last step": "; ".join(
                f"{opt.learning_rate(0):.3g} and "
                f"{opt.learning_rate(trainer.epochs * steps - 1):.3g}"
                for opt in trainer.update.optimizers
            ),
            "losses": trainer.update.loss_names,
        }
        facts["memory"] = _memory(job)
    else:
        untrained = job.untrained(parts_of_evaluation(job.run.config))
        facts["warnings"] = [doubt for doubt in [*job.doubts, untrained] if doubt]
    facts["notes"] = job.notes
    return CheckReport(facts)


def _dataset(dataset: ImageDataset) -> dict[str, Any]:
    sizes = Counter(dataset.labels)
    facts: dict[str, Any] = {
        "images": len(dataset),
        "labels": len(sizes),
        "images per label": f"{min(sizes.values())} to {max(sizes.values())}",
        "labels with one image": sum(1 for size in sizes.values() if size == 1),
    }
    if dataset.cameras is not None:
        facts["cameras or views"] = len(set(dataset.cameras))
    return facts


def _parameters(job: Job) -> dict[str, int]:
    counts = {
        name: sum(parameter.numel() for parameter in module.parameters())
        for name, module in job.model.named_children()
        if isinstance(module, nn.Module)
    }
    return {**counts, "total": sum(counts.values())}


def _memory(job: Job) -> dict[str, str]:
    """Estimate what training needs: weights, gradients, optimiser state, logits."""
    parameters = sum(p.numel() for p in job.model.parameters())
    states = max({"Momentum": 1, "SGD": 0}.get(spec.name, 2) for spec in job.run.config.Optimizer)
    shapes = job.built.shapes
    batch = _batch_size(job)
    classes = [shape[1] for stage, shape in shapes.items() if stage.endswith("logits")]
    logits = sum(classes) * batch * 3
    return {
        "weights, gradients, optimizer": f"{parameters * (2 + states) * _BYTES / 1e6:,.0f} MB",
        "logits and their gradient": f"{logits * _BYTES / 1e6:,.0f} MB",
        "checkpoint": f"{parameters * (1 + states) * _BYTES / 1e6:,.0f} MB",
    }


def _batch_size(job: Job) -> int:
    train = job.run.config.DataLoader.Train
    return int(train.sampler.args.get("batch_size", 1)) if train is not None else 1


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, bool) or not isinstance(value, int):
        return str(value)
    return f"{value:,}"
