"""``lookalike train``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lookalike import processes
from lookalike.assembly.job import Job, build_job
from lookalike.assembly.load import Run, load_run
from lookalike.assembly.machine import choose_device
from lookalike.assembly.resolved import write_resolved
from lookalike.assembly.resume_reference import reference_run, resume_reference
from lookalike.assembly.several import check_several
from lookalike.assembly.together import together
from lookalike.assembly.training import make_trainer
from lookalike.errors import CheckpointError, LookalikeError, SetupError
from lookalike.training import RunLog, Trainer
from lookalike.training.changes import changes
from lookalike.training.checkpoint import open_checkpoint
from lookalike.training.intact import find_checkpoint, has_checkpoints, newest_intact, sweep
from lookalike.training.trackers import open_tracker


def run_training(
    config: str,
    overrides: Sequence[str],
    *,
    resume: bool,
    or_start: bool = False,
    allow_import: Sequence[str],
    allow_missing: Sequence[str],
    strict_device: bool,
) -> None:
    """Train from a YAML, from the start or from a checkpoint.

    Args:
        config: The YAML.
        overrides: Of the command line.
        resume: Go on from the run folder's latest checkpoint.
        or_start: With ``resume``: start if there is none yet.
        allow_import: Modules that components may come from.
        allow_missing: Patterns of tensors that weights may lack.
        strict_device: Refuse to fall back to the CPU.
    """
    run = load_run(config, overrides, allow_import=allow_import)
    device = choose_device(run.config.Global.device, strict=strict_device, notes=[])
    with together(run, device):
        check_several(run)
        _train(run, strict_device, resume, or_start, allow_missing)


def _train(
    run: Run, strict_device: bool, resume: bool, or_start: bool, allow_missing: Sequence[str]
) -> None:
    first = processes.rank() == 0
    # first of all: a kill between two renames leaves ``latest`` under another name
    swept = sweep(Path(run.config.Global.output_dir)) if first else []
    processes.meet()
    warnings: list[str] = []
    source = run.config.Global.checkpoints
    theirs = None if source is None else reference_run(source)
    if source is not None and theirs is None:
        find_checkpoint(Path(source))
    elif source is None and resume:
        # one decides: others may see another state of a shared folder
        source, warnings = processes.from_first(lambda: _newest(run, or_start))
    job = build_job(
        run,
        strict_device=strict_device,
        need_weights=source is None,
        allow_missing=allow_missing,
    )
    settings = run.config.Global
    tracker = open_tracker(
        job.folder,
        visualdl=settings.use_visualdl and first,
        tensorboard=settings.use_tensorboard and first,
        notes=job.notes,
    )
    log = RunLog(job.folder if first else None, "train", tracker=tracker, quiet=not first)
    try:
        for warning in warnings:
            log.line(warning)
        for name in swept:
            log.line(f"note: removed {name}, which a killed run had left half written")
        if first:
            write_resolved(run, job.folder)
        trainer = make_trainer(job, log)
        _introduce(job, log)
        if theirs is not None:
            notes = resume_reference(trainer, job.built, theirs)
            for note in [*notes, f"going on from {theirs}, iteration {trainer.iteration}"]:
                log.line(f"note: {note}")
        elif source is not None:
            _restore(trainer, source, log)
        best = trainer.run().best
        score = "" if best.score is None else f" Best: {best.score:.5f} in epoch {best.epoch}."
        log.line(f"Finished.{score} Everything is in {job.folder}")
    except LookalikeError as error:
        with suppress(SetupError):
            log.keep(str(error))
        raise
    finally:
        log.close()


def _newest(run: Run, or_start: bool) -> tuple[str | None, list[str]]:
    """Return the checkpoint of a run folder to go on from, and warnings; None starts anew.

    Raises:
        CheckpointError: If there is none that is intact.
    """
    folder = Path(run.config.Global.output_dir)
    if or_start and not has_checkpoints(folder):
        return None, []
    try:
        chosen, warnings = newest_intact(folder)
    except CheckpointError as error:
        raise CheckpointError(f"{error} Without --resume the run starts anew.") from error
    return str(chosen), warnings


def _introduce(job: Job, log: RunLog) -> None:
    for note in job.notes:
        log.line(f"note: {note}")
    assert job.train is not None and job.batches is not None
    log.line(
        f"Training on {len(job.train):,} images of {len(set(job.train.labels)):,} labels, "
        f"{len(job.batches):,} batches per epoch, on {job.device}; run folder {job.folder}"
    )


def _restore(trainer: Trainer, source: str, log: RunLog) -> None:
    checkpoint = open_checkpoint(source)
    trainer.restore(checkpoint)
    epoch, rest = divmod(trainer.iteration, trainer.iterations_per_epoch)
    score = trainer.best.score
    best = "none yet" if score is None else f"{score:.5f}"
    log.line(
        f"Resuming {checkpoint.folder} after epoch {epoch}, iteration {rest}; best metric {best}"
    )
    for change in changes(checkpoint.facts, trainer.facts):
        log.line(f"note: {change}")
    finished = trainer.iteration >= trainer.epochs * trainer.iterations_per_epoch
    if finished and not trainer.evaluation_due:
        log.line("All epochs are done already; raise Global.epochs to train further.")
