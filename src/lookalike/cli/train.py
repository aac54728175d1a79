"""``lookalike train``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lookalike.assembly.job import Job, build_job
from lookalike.assembly.load import load_run
from lookalike.assembly.resolved import write_resolved
from lookalike.assembly.resume_reference import reference_run, resume_reference
from lookalike.assembly.training import make_trainer
from lookalike.errors import CheckpointError
from lookalike.training import RunLog, Trainer, load_checkpoint
from lookalike.training.checkpoint import find_checkpoint
from lookalike.training.trackers import open_tracker


def run_training(
    config: str,
    overrides: Sequence[str],
    *,
    resume: bool,
    allow_import: Sequence[str],
    allow_missing: Sequence[str],
    strict_device: bool,
) -> None:
    """Train from a YAML, from the start or from a checkpoint."""
    run = load_run(config, overrides, allow_import=allow_import)
    source = run.config.Global.checkpoints
    if resume and source is None:
        source = str(run.config.Global.output_dir)
    theirs = None if source is None else reference_run(source)
    if source is not None and theirs is None:
        find_checkpoint_or_say(source, resume)
    job = build_job(
        run,
        strict_device=strict_device,
        need_weights=source is None,
        allow_missing=allow_missing,
    )
    settings = run.config.Global
    tracker = open_tracker(
        job.folder,
        visualdl=settings.use_visualdl,
        tensorboard=settings.use_tensorboard,
        notes=job.notes,
    )
    log = RunLog(job.folder, "train", tracker=tracker)
    try:
        write_resolved(run, job.folder)
        trainer = make_trainer(job, log)
        _introduce(job, log)
        if theirs is not None:
            notes = resume_reference(trainer, job.built, theirs)
            for note in [*notes, f"going on from {theirs}, iteration {trainer.iteration}"]:
                log.line(f"note: {note}")
        elif source is not None:
            _restore(trainer, source, log)
        result = trainer.run()
        score, epoch = result.best.score, result.best.epoch
        best = "" if score is None else f" Best: {score:.5f} in epoch {epoch}."
        log.line(f"Finished.{best} Everything is in {job.folder}")
    finally:
        log.close()


def find_checkpoint_or_say(source: str, resume: bool) -> None:
    """Check early that there is something to resume.

    Raises:
        CheckpointError: If there is not.
    """
    try:
        find_checkpoint(Path(source))
    except CheckpointError as error:
        if resume:
            raise CheckpointError(f"{error} Without --resume the run starts anew.") from error
        raise


def _introduce(job: Job, log: RunLog) -> None:
    for note in job.notes:
        log.line(f"note: {note}")
    assert job.train is not None and job.batches is not None
    log.line(
        f"Training on {len(job.train):,} images of {len(set(job.train.labels)):,} labels, "
        f"{len(job.batches):,} batches per epoch, on {job.device}; run folder {job.folder}"
    )


def _restore(trainer: Trainer, source: str, log: RunLog) -> None:
    checkpoint = load_checkpoint(source)
    trainer.restore(checkpoint)
    epoch, rest = divmod(trainer.iteration, trainer.iterations_per_epoch)
    score = trainer.best.score
    best = "none yet" if score is None else f"{score:.5f}"
    log.line(
        f"Resuming {checkpoint.folder} after epoch {epoch}, iteration {rest}; best metric {best}"
    )
    for name, saved in (checkpoint.facts.get("data") or {}).items():
        now = trainer.facts["data"].get(name)
        if now is not None and now != saved:
            log.line(f"note: the {name} list has changed since this checkpoint was saved.")
    if trainer.iteration >= trainer.epochs * trainer.iterations_per_epoch:
        log.line("All epochs are done already; raise Global.epochs to train further.")
