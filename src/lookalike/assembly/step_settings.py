"""How a training step is computed: what of ``Global`` goes together, and put into the models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from lookalike import processes
from lookalike.assembly.dialect import reference_file
from lookalike.assembly.distillation import BuiltModels
from lookalike.assembly.load import Run
from lookalike.config.global_section import GlobalSection
from lookalike.config.schema import DistillationSection
from lookalike.errors import ConfigError, Problem
from lookalike.models.compiled import compile_training
from lookalike.models.recompute import recompute_blocks
from lookalike.optim import ScheduledOptimizer
from lookalike.training import RunLog
from lookalike.training.fully_sharded import shard_fully

Refuse = Callable[[str, str], None]

_KEYS = ("micro_batch_size", "activation_checkpointing", "fsdp", "compile")


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
    if "fsdp" in asked:
        for text in _not_dealt(run):
            refuse("fsdp", text)
    return found


def _not_dealt(run: Run) -> Iterator[str]:
    """Yield what needs whole weights where each process has a part of them."""
    config, source = run.config, run.config.Global.checkpoints
    if isinstance(config.Arch, DistillationSection):
        yield "is for one model; a DistillationModel has several."
    if config.EMA is not None:
        yield "does not go with EMA, which keeps an average of whole weights."
    if config.AMP.use_amp and config.AMP.dtype != "bfloat16":
        yield (
            "does not go with AMP in float16, which scales gradients by what all of them say; "
            "write AMP.dtype: bfloat16."
        )
    if source is not None and reference_file(source) is not None:
        yield (
            f"cannot go on from {source}, a run of the reference; go on without fsdp for an epoch, "
            "and from that checkpoint with it."
        )


def _needs_large_batches(run: Run, settings: GlobalSection, refuse: Refuse) -> None:
    train, piece = run.config.DataLoader.Train, settings.micro_batch_size
    batch = None if train is None else train.sampler.args.get("batch_size")
    if isinstance(batch, int) and piece is not None and piece >= batch:
        refuse(
            "micro_batch_size",
            f"a batch of {batch} images is one piece of {piece}; make it smaller than the "
            "sampler's batch_size, or leave it out.",
        )


def change_passes(
    settings: GlobalSection,
    built: BuiltModels,
    optimizers: Sequence[ScheduledOptimizer],
    log: RunLog,
) -> None:
    """Change how the models that learn run their training passes, and what optimisers step.

    Raises:
        ConfigError: If a backbone has no blocks to compute again, or weights wait for the images.
    """
    if settings.fsdp:
        _deal(built, optimizers, log)
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


def _deal(built: BuiltModels, optimizers: Sequence[ScheduledOptimizer], log: RunLog) -> None:
    """Leave each process its part of the one model."""
    (part,) = built.parts
    if processes.count() == 1:
        log.line("note: Global.fsdp decides nothing in one process.")
        return
    if part.data_inits:
        text = "does not go with weights that are fitted to the training images (LDA, ClassMeans)."
        raise ConfigError([Problem("Global.fsdp", text)])
    number = shard_fully(part.model, optimizers)
    where = f"the {number} blocks of the backbone, and the rest," if number else "the model"
    log.line(
        f"note: fsdp: each of {processes.count()} processes keeps its part of the weights, "
        f"gradients and optimiser states; {where} gather their weights when they compute."
    )
