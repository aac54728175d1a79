"""What fits a head that keeps its logits in parts."""

from __future__ import annotations

from lookalike.assembly.dialect import translate_component
from lookalike.assembly.load import Run
from lookalike.assembly.prepare import prepare_part
from lookalike.assembly.reads import reads_of
from lookalike.config import ComponentSpec
from lookalike.config.schema import DistillationSection
from lookalike.errors import Problem


def partial_logits_problems(run: Run) -> list[Problem]:
    """Say what cannot work with a head whose logits are never all there."""
    arch = run.config.Arch
    if isinstance(arch, DistillationSection):
        return [
            run.document.problem(
                ("Arch", "models"), f"{name}: {_keys(one.Head)} is for a single model's head."
            )
            for name, one in arch.members.items()
            if one.Head is not None and _in_parts(run, one.Head)
        ]
    if arch.Head is None or not _in_parts(run, arch.Head):
        return []
    keys, found = _keys(arch.Head), []
    if run.config.Global.train_mode == "metabin":
        found.append(run.document.problem(("Arch", "Head"), f"train_mode metabin: no {keys}."))
    for index, spec in enumerate(run.config.Loss.Train if run.config.Loss else []):
        if "logits" in reads_of(run, spec) and not _reads_parts(run, spec):
            text = f"{spec.name} needs all logits at once, which the head's {keys} does without."
            found.append(run.document.problem(("Loss", "Train", index), text))
        elif "logits" in reads_of(run, spec) and spec.args.get("gather"):
            text = f"gather: {spec.name} looks at each image by itself, and the head's {keys} "
            text += "leaves no logits to pass on; leave it out."
            found.append(run.document.problem(("Loss", "Train", index), text))
    for index, spec in enumerate(run.config.Metric.Train):
        if translate_component("metric", spec.name, {}).name != "TopKAccuracy":
            text = f"{spec.name} needs all logits at once, which the head's {keys} does without."
            found.append(run.document.problem(("Metric", "Train", index), text))
    return found


def _in_parts(run: Run, head: ComponentSpec) -> bool:
    ready, _ = prepare_part("head", head.name, head.args, run.allow_import)
    args = {} if ready is None else ready.args
    part = args.get("chunk_size") is not None or args.get("sample_rate", 1.0) < 1.0
    return part or bool(args.get("sharded"))


def _keys(head: ComponentSpec | None) -> str:
    args = {} if head is None else head.args
    return " and ".join(key for key in ("chunk_size", "sample_rate", "sharded") if key in args)


def _reads_parts(run: Run, spec: ComponentSpec) -> bool:
    ready, _ = prepare_part("loss", spec.name, spec.args, run.allow_import)
    return ready is None or bool(getattr(ready.target, "reads_partial_logits", False))
