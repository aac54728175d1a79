"""Which outputs of the model a loss works on."""

from __future__ import annotations

from lookalike.assembly.load import Run
from lookalike.assembly.prepare import prepare_part
from lookalike.config import ComponentSpec
from lookalike.config.schema import DistillationSection


def reads_of(run: Run, spec: ComponentSpec) -> tuple[str, ...]:
    """Return the outputs of the model that a loss works on; of several models, their names."""
    ready, _ = prepare_part("loss", spec.name, spec.args, run.allow_import)
    if ready is None:
        return ()
    if isinstance(run.config.Arch, DistillationSection):
        return tuple(getattr(ready.make(), "reads", ()))
    if "feature_from" in ready.args:
        return (ready.args["feature_from"],)
    return tuple(getattr(ready.target, "reads", ()))
