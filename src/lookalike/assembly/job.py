"""A checked configuration to a job that can be run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lookalike.assembly.consistency import (
    check_sampler,
    check_sections,
    settings_without_effect,
)
from lookalike.assembly.evaluation import Evaluation, build_evaluation, evaluate
from lookalike.assembly.facts import facts
from lookalike.assembly.initial_fit import fit_to_images
from lookalike.assembly.load import Run
from lookalike.assembly.machine import choose_device, seed_everything, worker_limit
from lookalike.assembly.model import BuiltModel, build_model
from lookalike.assembly.parts import (
    make_dataset,
    make_loss,
    make_metrics,
    make_optimizer,
    make_sampler,
    transforms_of,
)
from lookalike.config import ComponentSpec
from lookalike.config.schema import ArchSection, SplitSection
from lookalike.data import EndlessBatches, ImageDataset
from lookalike.errors import ConfigError, DataError, Problem
from lookalike.models.weights import load_state, read_weights
from lookalike.retrieval import RetrievalResult
from lookalike.training import RunLog, Trainer


@dataclass
class Job:
    """Everything a run consists of.

    Attributes:
        run: The configuration it was built from.
        built: The model with its shapes.
        device: Where it runs.
        train: Training images, or None for an evaluation alone.
        batches: The stream of training batches.
        evaluation: Query, gallery and metrics, or None if evaluation is off.
        notes: For the user, once each.
    """

    run: Run
    built: BuiltModel
    device: torch.device
    train: ImageDataset | None = None
    batches: EndlessBatches | None = None
    evaluation: Evaluation | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def model(self) -> nn.Module:
        return self.built.model

    @property
    def folder(self) -> Path:
        return Path(self.run.config.Global.output_dir)

    def evaluate(self, log: RunLog) -> RetrievalResult:
        """Evaluate the model as it is."""
        assert self.evaluation is not None
        return evaluate(self.model, self.evaluation, device=self.device, log=log)


def build_job(
    run: Run,
    *,
    training: bool = True,
    strict_device: bool = False,
    need_weights: bool = True,
    load_pretrained: bool = True,
) -> Job:
    """Build the model and the data of a run, and check that they fit each other.

    Args:
        run: The checked configuration.
        training: Build the training data too.
        strict_device: Refuse to fall back to the CPU.
        need_weights: Refuse to build a model whose pretrained weights are not there.
        load_pretrained: Load ``Global.pretrained_model``.

    Raises:
        LookalikeError: Whatever does not fit, before the first image is decoded.
    """
    config, notes = run.config, list(run.notes)
    seed_everything(seed_of(run))
    device = choose_device(config.Global.device, strict=strict_device, notes=notes)
    if training:
        check_sections(run)
    notes += settings_without_effect(run)
    built = build_model(
        _with_pretrained(config.Arch, config.Global.pretrained_model),
        image_shape=config.Global.image_shape,
        allow_import=run.allow_import,
        need_weights=need_weights and not isinstance(config.Global.pretrained_model, str),
    )
    notes += built.notes
    if built.weights is not None:
        notes.append(f"Backbone weights: {built.weights}")
    if load_pretrained and isinstance(config.Global.pretrained_model, str):
        source = config.Global.pretrained_model
        notes.append(str(load_state(built.model, read_weights(source), source=source)))
    built.model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    job = Job(run, built, device, notes=notes)
    workers = worker_limit(notes)
    if training:
        assert config.DataLoader.Train is not None
        _add_training_data(job, config.DataLoader.Train, workers)
    if not training or config.Global.eval_during_train:
        job.evaluation = build_evaluation(run, num_workers=workers)
    return job


def make_trainer(job: Job, log: RunLog) -> Trainer:
    """Put the job's parts into a training loop."""
    run, settings = job.run, job.run.config.Global
    assert job.batches is not None and job.train is not None and run.config.Loss is not None
    loss = make_loss(run.config.Loss.Train, run.allow_import).to(job.device)
    per_epoch = settings.iter_per_epoch or len(job.batches)
    accumulate = settings.update_freq if settings.update_freq <= per_epoch else 1
    per_epoch -= per_epoch % accumulate
    if per_epoch == 0:
        raise DataError(
            f"{job.train.source}: the sampler yields no batch from {len(job.train)} images; lower "
            "batch_size, or set drop_last: False."
        )
    optimizers = [
        make_optimizer(
            spec,
            [job.model, loss],
            epochs=settings.epochs,
            steps_per_epoch=per_epoch // accumulate,
            allow_import=run.allow_import,
        )
        for spec in run.config.Optimizer
    ]
    return Trainer(
        model=job.model,
        loss=loss,
        optimizers=optimizers,
        batches=job.batches,
        epochs=settings.epochs,
        iterations_per_epoch=per_epoch,
        folder=job.folder,
        log=log,
        device=job.device,
        evaluate=_evaluator(job, log) if job.evaluation is not None else None,
        train_metrics=_train_metrics(run),
        prepare=_preparation(job, log),
        print_every=settings.print_batch_step,
        accumulate=accumulate,
        eval_every=settings.eval_interval,
        eval_from=settings.start_eval_epoch,
        eval_first=settings.eval_before_train,
        save_every=settings.save_interval,
        facts=facts(seed_of(run), _splits(job)),
        names=job.train.paths,
    )


def _with_pretrained(arch: ArchSection, pretrained: str | bool | None) -> ArchSection:
    """Read ``Global.pretrained_model: True`` as a wish for pretrained backbone weights."""
    if pretrained is not True or arch.Backbone.args.get("pretrained"):
        return arch
    backbone = ComponentSpec.of(arch.Backbone.name, {**arch.Backbone.args, "pretrained": True})
    return arch.model_copy(update={"Backbone": backbone})


def _add_training_data(job: Job, section: SplitSection, workers: Callable[[int], int]) -> None:
    run = job.run
    dataset: ImageDataset = make_dataset(section.dataset, run.allow_import)
    num_classes = getattr(job.built.model.head, "num_classes", None)
    if num_classes is not None:
        dataset.check_labels(num_classes)
    seed = seed_of(run)
    try:
        sampler = make_sampler(
            section.sampler, dataset.labels, seed=seed, allow_import=run.allow_import
        )
    except ConfigError as error:
        raise ConfigError(
            [Problem("DataLoader.Train.sampler", str(error), where=run.document.file)]
        ) from error
    check_sampler(run, section, dataset)
    job.train = dataset
    job.batches = EndlessBatches(
        dataset,
        sampler,
        seed=seed,
        num_workers=workers(section.loader.num_workers),
        prefetch_factor=section.loader.prefetch_factor,
        pin_memory=job.device.type == "cuda",
    )


def _evaluator(job: Job, log: RunLog) -> Callable[[], Mapping[str, float]]:
    def run_evaluation() -> Mapping[str, float]:
        result = job.evaluate(log)
        log.record("intervals", {name: list(bounds) for name, bounds in result.intervals.items()})
        return result.values

    return run_evaluation


def _train_metrics(run: Run) -> Callable[[Any, Tensor], Mapping[str, Tensor]] | None:
    metrics = make_metrics(run.config.Metric.Train, run.allow_import)
    if not metrics:
        return None

    def compute(output: Any, labels: Tensor) -> Mapping[str, Tensor]:
        values: dict[str, Tensor] = {}
        for metric in metrics:
            values |= metric(output, labels)
        return values

    return compute


def _preparation(job: Job, log: RunLog) -> Callable[[], None] | None:
    """Return what fits the initial weights to the training images, if any ask for it."""
    assert job.train is not None and job.batches is not None
    evaluated = job.run.config.DataLoader.Eval
    transforms = job.train.transforms
    if evaluated is not None:
        split = evaluated.single or evaluated.Query
        assert split is not None
        transforms = transforms_of(split.dataset, job.run.allow_import)
    return fit_to_images(
        job.built,
        job.train,
        transforms,
        device=job.device,
        num_workers=job.batches.num_workers,
        log=log,
    )


def _splits(job: Job) -> dict[str, ImageDataset]:
    splits = {} if job.train is None else {"Train": job.train}
    if job.evaluation is not None:
        splits |= {split.name: split.dataset for split in job.evaluation.splits}
    return splits


def seed_of(run: Run) -> int:
    """Return the run's seed; 0 where none is given, so that a run can always be repeated."""
    return run.config.Global.seed or 0
