"""``lookalike train``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
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
from lookalike.cli.start import Start, how_to_start
from lookalike.errors import ConfigError, LookalikeError, SetupError
from lookalike.training import RunLog, Trainer
from lookalike.training.changes import changes
from lookalike.training.checkpoint import open_checkpoint
from lookalike.training.run_folder import only_run
from lookalike.training.trackers import open_tracker


def run_training(
    config: str,
    overrides: Sequence[str],
    *,
    resume: bool,
    or_start: bool = False,
    overwrite: bool = False,
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
        overwrite: Remove the run that is in the run folder.
        allow_import: Modules that components may come from.
        allow_missing: Patterns of tensors that weights may lack.
        strict_device: Refuse to fall back to the CPU.

    Raises:
        ConfigError: If the run folder holds a run, and it is not said what becomes of it.
        SetupError: If another run is training in the run folder.
    """
    if overwrite and resume:
        raise ConfigError("--overwrite removes the run that --resume would go on from; give one.")
    run = load_run(config, overrides, allow_import=allow_import)
    device = choose_device(run.config.Global.device, strict=strict_device, notes=[])
    folder = Path(run.config.Global.output_dir)
    with together(run, device), ExitStack() as stack:
        check_several(run)
        # one decides, before any of them starts: others may see another state of a shared folder
        processes.from_first(lambda: stack.enter_context(only_run(folder)))
        start = processes.from_first(
            lambda: how_to_start(run, resume=resume, or_start=or_start, overwrite=overwrite)
        )
        _train(run, start, strict_device, allow_missing)


def _train(run: Run, start: Start, strict_device: bool, allow_missing: Sequence[str]) -> None:
    first = processes.rank() == 0
    job = build_job(
        run,
        strict_device=strict_device,
        need_weights=start.source is None,
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
        # until all is built, what the folder holds stays
        with log.held():
            for note in start.notes:
                log.line(note)
            trainer = make_trainer(job, log)
            _introduce(job, log)
            if start.source is not None:
                _restore(trainer, job, start.source, log)
            if first:
                start.take_over(job.folder, log)
        if first:
            write_resolved(run, job.folder)
        best = trainer.run().best
        score = "" if best.score is None else f" Best: {best.score:.5f} in epoch {best.epoch}."
        log.line(f"Finished.{score} Everything is in {job.folder}")
    except LookalikeError as error:
        with suppress(SetupError):
            log.keep(str(error))
        raise
    finally:
        log.close()


def _introduce(job: Job, log: RunLog) -> None:
    for note in job.notes:
        log.line(f"note: {note}")
    assert job.train is not None and job.batches is not None
    log.line(
        f"Training on {len(job.train):,} images of {len(set(job.train.labels)):,} labels, "
        f"{len(job.batches):,} batches per epoch, on {job.device}; run folder {job.folder}"
    )


def _restore(trainer: Trainer, job: Job, source: str, log: RunLog) -> None:
    theirs = reference_run(source)
    if theirs is not None:
        notes = resume_reference(trainer, job.built, theirs)
        for note in [*notes, f"going on from {theirs}, iteration {trainer.iteration}"]:
            log.line(f"note: {note}")
        return
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
