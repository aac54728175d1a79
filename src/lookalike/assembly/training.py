"""The parts of a job put into a training loop."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lookalike.assembly.backward_steps import step_in_backward
from lookalike.assembly.bad_images import bad_images_limit
from lookalike.assembly.class_numbering import class_document, class_names_of
from lookalike.assembly.consistency import mixes
from lookalike.assembly.data_parts import transforms_of
from lookalike.assembly.facts import facts
from lookalike.assembly.feature_cache import FeatureCache
from lookalike.assembly.initial_fit import fit_to_images
from lookalike.assembly.job import Job, seed_of
from lookalike.assembly.load import Run, locating
from lookalike.assembly.model_source import CONFIG
from lookalike.assembly.parts import make_loss, make_metrics, make_optimizer
from lookalike.assembly.published import CARD, model_card, model_config
from lookalike.assembly.scopes import modules_in_scope
from lookalike.assembly.several import prepare_several
from lookalike.assembly.step_settings import change_passes
from lookalike.assembly.trial import check_training_pass
from lookalike.config.schema import AmpSection
from lookalike.data import EndlessBatches, ImageDataset, PairedBatches
from lookalike.errors import DataError
from lookalike.losses import WeightedSum
from lookalike.optim import ScheduledOptimizer
from lookalike.place import at
from lookalike.training import RunLog, Trainer
from lookalike.training.feature_update import FeatureUpdate
from lookalike.training.fully_sharded import gathered_for_evaluation
from lookalike.training.meta_bin import MetaBinUpdate
from lookalike.training.piecewise import PiecewiseUpdate
from lookalike.training.precision import Precision
from lookalike.training.quarantine import QuarantinedBatches
from lookalike.training.update import Update


def make_trainer(job: Job, log: RunLog) -> Trainer:
    """Put the job's parts into a training loop."""
    with locating(job.run):
        return _make_trainer(job, log)


def _make_trainer(job: Job, log: RunLog) -> Trainer:
    run, settings = job.run, job.run.config.Global
    assert job.batches is not None and job.train is not None and run.config.Loss is not None
    losses = _losses(run, job.device)
    per_epoch, accumulate = _steps(job)
    check_training_pass(job, settings.epochs, per_epoch)
    optimizers = [
        make_optimizer(
            spec,
            modules_in_scope(spec.scope, job.model, next(iter(losses.values()))),
            epochs=settings.epochs,
            steps_per_epoch=per_epoch // accumulate,
            allow_import=run.allow_import,
        )
        for spec in run.config.Optimizer
    ]
    about = facts(seed_of(run), _splits(job), run.document.data)
    prepare_several(job, optimizers, about)
    change_passes(settings, job.built, optimizers, log)
    cache = FeatureCache(job, log) if settings.feature_cache else None
    evaluator = _Evaluator(job, log, cache)
    update = _update(job, losses, optimizers, accumulate)
    scales = update.precision.scaler.is_enabled()
    note = step_in_backward(job, optimizers, accumulates=accumulate > 1, scales=scales)
    job.notes += [] if note is None else [note]
    return Trainer(
        update=update,
        batches=_batches(job, log) if cache is None else cache.batches(),
        epochs=settings.epochs,
        iterations_per_epoch=per_epoch,
        folder=job.folder,
        log=log,
        device=job.device,
        evaluate=evaluator if job.evaluation is not None else None,
        train_metrics=_train_metrics(run),
        prepare=_preparation(job, log),
        print_every=settings.print_batch_step,
        eval_every=settings.eval_interval,
        eval_from=settings.start_eval_epoch,
        eval_first=settings.eval_before_train,
        save_every=settings.save_interval,
        save_steps=settings.save_steps,
        keep=settings.keep_checkpoints,
        facts=about,
        documents=_documents(job, evaluator),
        names=job.train.paths,
    )


def _steps(job: Job) -> tuple[int, int]:
    """Return the batches of an epoch, and how many of them make a step.

    Raises:
        DataError: If there is not one step.
    """
    assert job.batches is not None and job.train is not None
    settings = job.run.config.Global
    per_epoch = settings.iter_per_epoch or len(job.batches)
    accumulate = settings.update_freq if settings.update_freq <= per_epoch else 1
    per_epoch -= per_epoch % accumulate
    if per_epoch == 0:
        raise DataError(
            f"{job.train.source}: the sampler yields no batch from {len(job.train)} images; lower "
            "batch_size, or set drop_last: False."
        )
    return per_epoch, accumulate


def _batches(job: Job, log: RunLog) -> EndlessBatches | PairedBatches | QuarantinedBatches:
    if not isinstance(job.batches, EndlessBatches) or not job.batches.skip_bad:
        assert job.batches is not None
        return job.batches
    limit = bad_images_limit(job.run, len(job.batches.dataset))
    return QuarantinedBatches(job.batches, job.folder, limit=limit, log=log)


def _losses(run: Run, device: torch.device) -> dict[str, WeightedSum]:
    """Return the loss, or the three that train_mode metabin has in its place."""
    section = run.config.Loss
    assert section is not None
    specs = {"train": section.Train}
    if run.config.Global.train_mode == "metabin":
        specs = {
            "basic": section.Basic,
            "meta_train": section.MetaTrain,
            "meta_test": section.MetaTest,
        }
    return {part: make_loss(own, run.allow_import).to(device) for part, own in specs.items()}


def _update(
    job: Job,
    losses: dict[str, WeightedSum],
    optimizers: Sequence[ScheduledOptimizer],
    accumulate: int,
) -> Update:
    config = job.run.config
    precision = make_precision(config.AMP, job.device, keeps_casts=not config.Global.fsdp)
    average = None if config.EMA is None else config.EMA.decay
    common: dict[str, Any] = {"precision": precision, "average": average}
    if "train" in losses:
        common["accumulate"], piece = accumulate, config.Global.micro_batch_size
        if piece is not None:
            return PiecewiseUpdate(job.model, losses["train"], optimizers, piece=piece, **common)
        kind = FeatureUpdate if config.Global.feature_cache else Update
        return kind(job.model, losses["train"], optimizers, **common)
    return MetaBinUpdate(
        job.model,
        losses,
        optimizers,
        warmup=config.Global.warmup_iter,
        seed=seed_of(job.run),
        **common,
    )


def make_precision(
    section: AmpSection, device: torch.device, *, keeps_casts: bool = True
) -> Precision:
    """Read the ``AMP`` section."""
    return Precision(
        device,
        enabled=section.use_amp,
        dtype=None if section.dtype is None else getattr(torch, section.dtype),
        scale_loss=section.scale_loss,
        dynamic=section.use_dynamic_loss_scaling,
        keeps_casts=keeps_casts,
    )


class _Evaluator:
    """Measures a model, and remembers the intervals for the model's card."""

    def __init__(self, job: Job, log: RunLog, cache: FeatureCache | None) -> None:
        self.job, self.log, self.cache = job, log, cache
        self.intervals: dict[str, tuple[float, float]] = {}

    def __call__(self, model: nn.Module) -> Mapping[str, float]:
        at("evaluating")
        if self.cache is None:
            with gathered_for_evaluation(model):
                result = self.job.evaluate(self.log, model=model)
        else:
            result = self.cache.evaluate(model)
        self.intervals = result.intervals
        bounds = {name: list(pair) for name, pair in result.intervals.items()}
        self.log.record("intervals", bounds)
        return result.values


def _documents(job: Job, evaluator: _Evaluator) -> Callable[[Mapping[str, Any]], dict[str, str]]:
    config = model_config(job.run, job.built)
    sources = [str(part.weights.source) for part in job.built.parts if part.weights]
    weights = ", ".join(sources) or str(job.run.config.Global.pretrained_model or "random")

    def write(about: Mapping[str, Any]) -> dict[str, str]:
        card = model_card(
            config,
            metrics=about["metrics"],
            intervals=evaluator.intervals,
            facts=about,
            weights=weights,
        )
        classes = class_document(None if job.train is None else class_names_of(job.train))
        return {CONFIG: json.dumps(config, indent=1) + "\n", CARD: card, **classes}

    return write


def _train_metrics(run: Run) -> Callable[[Any, Tensor], Mapping[str, Tensor]] | None:
    metrics = make_metrics(run.config.Metric.Train, run.allow_import)
    if not metrics or mixes(run):
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
    if not any(part.data_inits for part in job.built.parts):
        return None
    evaluated = job.run.config.DataLoader.Eval
    transforms = job.train.transforms
    if evaluated is not None:
        transforms = transforms_of(evaluated.queries.dataset, job.run.allow_import)
    return partial(
        fit_to_images,
        job.built.parts,
        job.train,
        transforms,
        device=job.device,
        num_workers=job.batches.num_workers,
        timeout=job.run.config.Global.data_timeout,
        log=log,
    )


def _splits(job: Job) -> dict[str, ImageDataset]:
    splits = {} if job.train is None else {"Train": job.train}
    if job.evaluation is not None:
        splits |= {split.name: split.dataset for split in job.evaluation.splits}
    return splits
