"""How a training step is computed: what of ``Global`` goes together, and put into the models."""

from __future__ import annotations

from collections.abc import Callable

from lookalike.assembly.distillation import BuiltModels
from lookalike.assembly.load import Run
from lookalike.config.global_section import GlobalSection
from lookalike.config.schema import DistillationSection
from lookalike.errors import ConfigError, Problem
from lookalike.models.compiled import compile_training
from lookalike.models.recompute import recompute_blocks
from lookalike.training import RunLog

Refuse = Callable[[str, str], None]

_KEYS = ("micro_batch_size", "activation_checkpointing", "compile")


def step_problems(run: Run) -> list[Problem]:
    """Say which ways to compute a step contradict each other or the rest of the run."""
    config, settings, found = run.config, run.config.Global, []
    asked = [key for key in _KEYS if getattr(settings, key)]

    def refuse(key: str, text: str) -> None:
        found.append(run.document.problem(("Global", key), text))

    for key in asked:
        if settings.train_mode == "metabin":
            refuse(key, "does not go with train_mode metabin, whose updates look into the norms.")
        if settings.feature_cache:
            refuse(key, "decides nothing with feature_cache: the backbone is not run in training.")
        if config.Slim.quant is not None:
            refuse(key, "does not go with Slim.quant, whose ranges follow every forward pass.")
    if "compile" in asked and len(asked) > 1:
        others = " and ".join(asked[:-1])
        refuse("compile", f"does not go with {others}: compiled code has a plan of its own.")
    if "micro_batch_size" in asked:
        if isinstance(config.Arch, DistillationSection):
            refuse("micro_batch_size", "is for one model; a DistillationModel has several.")
        _needs_large_batches(run, settings, refuse)
    return found


def _needs_large_batches(run: Run, settings: GlobalSection, refuse: Refuse) -> None:
    train, piece = run.config.DataLoader.Train, settings.micro_batch_size
    batch = None if train is None else train.sampler.args.get("batch_size")
    if isinstance(batch, int) and piece is not None and piece >= batch:
        refuse(
            "micro_batch_size",
            f"a batch of {batch} images is one piece of {piece}; make it smaller than the "
            "sampler's batch_size, or leave it out.",
        )


def change_passes(settings: GlobalSection, built: BuiltModels, log: RunLog) -> None:
    """Change how the backbones that learn run their training passes.

    Raises:
        ConfigError: If a backbone has no blocks to compute again.
    """
    for part in built.parts:
        backbone = part.model.backbone
        if not any(p.requires_grad for p in backbone.parameters()):
            continue
        if settings.compile:
            compile_training(backbone, lambda text: log.line(f"note: {text}"))
        if settings.activation_checkpointing and not recompute_blocks(backbone):
            text = (
                f"{part.arch.Backbone.name} has no blocks that could be computed again: it is a "
                "plain row of layers, or the stop layer made a graph of it. "
                "Global.micro_batch_size saves memory with any backbone."
            )
            raise ConfigError([Problem("Global.activation_checkpointing", text)])
