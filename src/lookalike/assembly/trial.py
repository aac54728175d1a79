"""A few images through the model as in training, before the first step."""

from __future__ import annotations

from itertools import islice
from typing import Any

import torch
from torch import Tensor

from lookalike import processes
from lookalike.assembly.job import Job
from lookalike.config.read import KeyPath
from lookalike.config.schema import ArchSection
from lookalike.data import EndlessBatches, PairedBatches
from lookalike.data.randomness import seeded
from lookalike.data.reading import deals_groups
from lookalike.errors import ConfigError, Problem
from lookalike.models.lent_buffers import buffers_lent


def check_training_pass(job: Job, epochs: int, per_epoch: int) -> None:
    """Run a few images through the model as in training, and leave the model as it was.

    So what only happens in training is known before: batch norms have no statistics of one value
    per channel, and some networks of other libraries return more than one tensor.

    Args:
        job: With its training data.
        epochs: Of the run.
        per_epoch: Batches of an epoch.

    Raises:
        ConfigError: Names the sampler if the smallest batch is one image and that is too few;
            else the part that fails.
    """
    smallest = min(_sizes(job, epochs * per_epoch), default=2)
    if smallest > 1:
        _try(job, 2)
        return
    try:
        _try(job, 1)
    except ConfigError as error:
        _try(job, 2)
        raise ConfigError([_one_image(job, str(error))]) from error


def _one_image(job: Job, reason: str) -> Problem:
    """Say which setting makes a batch of one image."""
    run = job.run
    assert run.config.DataLoader.Train is not None and job.train is not None
    sampler = ("DataLoader", "Train", "sampler")
    size = run.config.DataLoader.Train.sampler.args.get("batch_size")
    if run.config.Global.micro_batch_size is not None:
        path: KeyPath = ("Global", "micro_batch_size")
        text = "computes one image at a time in some batch; set another"
    elif size == 1:
        path, text = (*sampler, "batch_size"), "is 1; set 2 or more"
    else:
        path = (*sampler, "drop_last")
        text = (
            f"the last batch of an epoch has one image ({len(job.train):,} images, batch_size "
            f"{size}); set drop_last: True, or another batch_size"
        )
    return run.document.problem(path, f"{text}. One image is too few: {reason}")


def _sizes(job: Job, number: int) -> set[int]:
    """Return how many images go through a model at once, in the batches of the run."""
    batches = job.batches
    streams = (batches.first, batches.second) if isinstance(batches, PairedBatches) else (batches,)
    found: set[int] = set()
    for stream in streams:
        assert isinstance(stream, EndlessBatches)
        of = stream.share[1]
        planned = {len(batch) for batch in islice(stream.sampler.plan(0), number)}
        sizes = {-(-size // of) for size in planned}
        if stream.skip_bad and not deals_groups(stream.sampler):
            sizes |= set(range(2, max(sizes, default=1)))
        found |= sizes
    if (piece := job.run.config.Global.micro_batch_size) is not None:
        # pieces differ by one image at most
        found = {size // -(-size // piece) for size in found}
    if processes.count() > 1 and all(part.arch.use_sync_bn for part in job.built.parts):
        found = {size * processes.count() for size in found}
    return found


def _try(job: Job, number: int) -> None:
    own = [job.device] if job.device.type == "cuda" else []
    was_training = job.model.training
    job.model.train()
    try:
        with torch.no_grad(), torch.random.fork_rng(own), seeded(0):
            images = torch.rand(number, *job.run.config.Global.image_shape).to(job.device)
            for part in job.built.parts:
                with buffers_lent(part.model):
                    _embed(part.model, part.arch, images)
    finally:
        job.model.train(was_training)


def _embed(model: Any, arch: ArchSection, images: Tensor) -> None:
    at, name = "Arch.Backbone", arch.Backbone.name
    features: Any = images
    try:
        features = model.backbone(images)
        if isinstance(features, Tensor) and model.neck is not None and arch.Neck is not None:
            at, name = "Arch.Neck", arch.Neck.name
            model.neck(features)
    except Exception as error:  # noqa: BLE001 - modules of other libraries fail in every way
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        shape = list((images if at == "Arch.Backbone" else features).shape)
        raise ConfigError(f"{at}: {name} fails in training on {shape}: {reason}") from error
    if not isinstance(features, Tensor):
        raise ConfigError(
            f"Arch.Backbone: {name} returns {type(features).__name__} in training, not one "
            "tensor; name a layer to cut it at as Arch.BackboneStopLayer."
        )
