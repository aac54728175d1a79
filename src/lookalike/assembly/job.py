"""A checked configuration to a job that can be run."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import nn

from lookalike import processes
from lookalike.assembly.bad_images import skips_bad_images
from lookalike.assembly.cacheable import check_feature_cache
from lookalike.assembly.class_numbering import (
    class_names_of,
    class_names_of_weights,
    number_together,
)
from lookalike.assembly.consistency import (
    check_domains,
    check_sampler,
    check_sections,
    settings_without_effect,
)
from lookalike.assembly.data_parts import make_dataset, make_mixing, make_sampler
from lookalike.assembly.data_paths import check_paths
from lookalike.assembly.distillation import BuiltModels, build_any_model
from lookalike.assembly.eval_splits import list_notes
from lookalike.assembly.evaluation import Evaluation, build_evaluation, evaluate
from lookalike.assembly.image_shapes import check_image_shape
from lookalike.assembly.load import Run, locating
from lookalike.assembly.machine import choose_device, seed_everything, worker_limit
from lookalike.assembly.model import STOPS
from lookalike.assembly.model_source import ModelSource, find_model, model_of, passed_over
from lookalike.assembly.same_model import compare_with_stored
from lookalike.assembly.start_weights import start_weights
from lookalike.assembly.untrained import parts_of_embeddings, parts_of_evaluation, untrained_text
from lookalike.config import ComponentSpec
from lookalike.config.schema import AnyArch, DistillationSection, SplitSection
from lookalike.data import EndlessBatches, ImageDataset, PairedBatches
from lookalike.data.image_files import listed_only
from lookalike.errors import LookalikeError, ModelWarning
from lookalike.models.distillation_model import chosen_model
from lookalike.retrieval import RetrievalResult
from lookalike.training import RunLog


@dataclass
class Job:
    """Everything a run consists of.

    Attributes:
        run: The configuration it was built from.
        built: The model, or models, with their shapes.
        device: Where it runs.
        train: Training images, or None for an evaluation alone.
        batches: The stream of training batches.
        evaluation: Query, gallery and metrics, or None if evaluation is off.
        notes: For the user, once each.
        source: The whole model that was loaded, or None.
        doubts: Why the model may not be the intended one.
    """

    run: Run
    built: BuiltModels
    device: torch.device
    train: ImageDataset | None = None
    batches: EndlessBatches | PairedBatches | None = None
    evaluation: Evaluation | None = None
    notes: list[str] = field(default_factory=list)
    source: ModelSource | None = None
    doubts: list[str] = field(default_factory=list)

    @property
    def model(self) -> nn.Module:
        return self.built.model

    @property
    def folder(self) -> Path:
        return Path(self.run.config.Global.output_dir)

    def untrained(self, parts: Collection[str]) -> str:
        """Say which of these parts have random weights; empty if none has.

        Args:
            parts: Of ``backbone``, ``neck`` and ``head``.
        """
        if self.source is not None and self.source.untrained:
            return f"{self.source.place} was saved before the first training step."
        return untrained_text(self.built.chosen, parts)

    def evaluate(
        self, log: RunLog, *, model: nn.Module | None = None, tables: Path | None = None
    ) -> RetrievalResult:
        """Evaluate the model, or another like it; keep its embeddings in ``tables``."""
        assert self.evaluation is not None
        model = model or self.model
        return evaluate(model, self.evaluation, device=self.device, log=log, tables=tables)


def build_job(
    run: Run,
    *,
    training: bool = True,
    strict_device: bool = False,
    need_weights: bool = True,
    need_evaluation: bool = True,
    allow_missing: Sequence[str] = (),
    model: ModelSource | str | Path | None = None,
) -> Job:
    """Build the model and the data of a run, and check that they fit each other.

    Args:
        run: The checked configuration.
        training: Build the training data too.
        strict_device: Refuse to fall back to the CPU.
        need_weights: Refuse to build a model whose pretrained weights are not there.
        need_evaluation: Refuse a run that is only evaluated and says nothing of the data for it.
        allow_missing: Patterns of tensors that ``Global.pretrained_model`` may lack, or have
            beside the model's.
        model: The trained model to load, such as a run folder; see :func:`find_model`. By default
            that of :func:`model_of`: what the configuration names, or the run's best model.

    Raises:
        LookalikeError: Whatever does not fit, before the first image is decoded.

    Warns:
        ModelWarning: If the model of an evaluation has parts with random weights, or may not be
            the intended one.
    """
    with locating(run):
        job = _build_job(run, training, strict_device, need_weights, allow_missing, model)
        if need_evaluation or run.config.DataLoader.Eval is not None:
            _add_evaluation(job, training)
    if not training:
        measured = parts_of_evaluation if job.evaluation else parts_of_embeddings
        for doubt in [*job.doubts, job.untrained(measured(run.config))]:
            if doubt:
                warnings.warn(doubt, ModelWarning, stacklevel=2)
    return job


def _build_job(
    run: Run,
    training: bool,
    strict_device: bool,
    need_weights: bool,
    allow_missing: Sequence[str],
    model: ModelSource | str | Path | None,
) -> Job:
    config, notes = run.config, list(run.notes)
    seed_everything(seed_of(run))
    device = choose_device(config.Global.device, strict=strict_device, notes=notes)
    if training:
        check_sections(run)
    notes += settings_without_effect(run)
    source = model_of(run, training=training) if model is None else model
    if isinstance(source, str | Path):
        source = find_model(source)
    built = build_any_model(
        _with_pretrained(config.Arch, config.Global.pretrained_model),
        image_shape=config.Global.image_shape,
        allow_import=run.allow_import,
        need_weights=need_weights and source is None,
        allow_missing=allow_missing,
    )
    whole = source is not None
    notes += [n for n in built.notes if training or not (whole and n.startswith(STOPS))]
    notes += [f"Backbone weights: {part.weights}" for part in built.parts if part.weights]
    doubts = []
    if source is not None and not training:
        doubts += passed_over(run, source) if model is None else []
        doubts += compare_with_stored(run, built, source, allow_missing)
    start_weights(run, built, source, allow_missing=allow_missing, notes=notes)
    built.model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    job = Job(run, built, device, notes=notes, source=source, doubts=doubts)
    if training:
        _add_training_data(job, worker_limit(notes))
    return job


def _add_evaluation(job: Job, training: bool) -> None:
    if not training or job.run.config.Global.eval_during_train:
        job.evaluation = build_evaluation(
            job.run,
            num_workers=worker_limit(job.notes),
            trained_classes=partial(_trained_classes, job),
        )
        job.notes += job.evaluation.notes
        num_classes = getattr(getattr(chosen_model(job.model), "head", None), "num_classes", None)
        if job.evaluation.losses is not None and num_classes is not None:
            job.evaluation.query.dataset.check_labels(num_classes)


def _trained_classes(job: Job) -> Sequence[str] | None:
    """Return the names of the head's classes: of the weights, else of the training list."""
    if job.train is not None:
        return class_names_of(job.train)
    names = None if job.source is None else class_names_of_weights(job.source.place)
    if names is not None:
        return names
    loaders = job.run.document.data.get("DataLoader")
    raw = loaders.get("Train") if isinstance(loaders, dict) else None
    try:
        with listed_only():
            train = make_dataset(SplitSection.model_validate(raw).dataset, job.run.allow_import)
        return class_names_of(train)
    except (LookalikeError, ValueError):  # what only training reads need not be sound
        job.notes.append(
            "the classes are numbered by the evaluation's own lists: neither the weights "
            "(classes.json) nor DataLoader.Train says which classes the head was trained on."
        )
    return None


def _with_pretrained(arch: AnyArch, pretrained: str | bool | None) -> AnyArch:
    """Read ``Global.pretrained_model: True`` as a wish for pretrained backbone weights."""
    if isinstance(arch, DistillationSection):
        models = [{n: _with_pretrained(a, pretrained)} for n, a in arch.members.items()]
        return arch.model_copy(update={"models": models})
    if pretrained is not True or arch.Backbone.args.get("pretrained"):
        return arch
    backbone = ComponentSpec.of(arch.Backbone.name, {**arch.Backbone.args, "pretrained": True})
    return arch.model_copy(update={"Backbone": backbone})


def _add_training_data(job: Job, workers: Callable[[int], int]) -> None:
    loaders = job.run.config.DataLoader
    assert loaders.Train is not None
    job.train, job.batches = _stream(job, "Train", loaders.Train, workers)
    if job.run.config.Global.feature_cache:
        check_feature_cache(job.run, job.train)
    check_sampler(job.run, job.train, job.batches.sampler, job.notes)
    if job.run.config.Global.train_mode == "metabin":
        assert loaders.Metalearning is not None
        section = loaders.Metalearning.Train
        images, meta = _stream(job, "Metalearning", section, workers)
        check_domains(images)
        job.batches = PairedBatches(job.batches, meta)


def _stream(
    job: Job, name: str, section: SplitSection, workers: Callable[[int], int]
) -> tuple[ImageDataset, EndlessBatches]:
    run, seed = job.run, seed_of(job.run)
    skips = skips_bad_images(run)
    at = ("Metalearning", "Train") if name == "Metalearning" else (name,)
    check_paths(run, ("DataLoader", *at, "dataset"), section.dataset)
    with listed_only() if skips else nullcontext():
        dataset: ImageDataset = make_dataset(section.dataset, run.allow_import)
    if job.train is not None:  # the second stream has the classes of the first
        dataset = number_together([job.train, dataset])[1]
    job.notes += [f"Train: {note}" for note in list_notes(dataset)]
    num_classes = None
    for part in job.built.parts:
        num_classes = getattr(part.model.head, "num_classes", num_classes)
        if num_classes is not None:
            dataset.check_labels(num_classes)
    check_image_shape(run, name, dataset, may_skip=skips)
    sampler = make_sampler(
        section.sampler,
        dataset.labels,
        cameras=dataset.cameras,
        seed=seed,
        sizes=getattr(dataset, "sizes", None),
        allow_import=run.allow_import,
        processes=processes.count(),
    )
    batches = EndlessBatches(
        dataset,
        sampler,
        seed=seed,
        num_workers=workers(section.loader.num_workers),
        prefetch_factor=section.loader.prefetch_factor,
        pin_memory=job.device.type == "cuda",
        mixture=make_mixing(section.dataset, num_classes, run.allow_import),
        skip_bad=skips,
        timeout=run.config.Global.data_timeout,
        share=(processes.rank(), processes.count()),
    )
    return dataset, batches


def seed_of(run: Run) -> int:
    """Return the run's seed; 0 where none is given, so that a run can always be repeated."""
    return run.config.Global.seed or 0
