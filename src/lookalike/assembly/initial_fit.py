"""Initial weights of neck and head computed from the training images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from lookalike import processes
from lookalike.assembly.model import BuiltModel
from lookalike.data import ImageDataset, SequenceSampler, make_loader
from lookalike.inference import embed
from lookalike.models.fit_to_data import class_means, lda
from lookalike.training import RunLog


def fit_to_images(
    parts: Iterable[BuiltModel],
    images: ImageDataset,
    transforms: Callable[[Any], Any],
    *,
    device: torch.device,
    num_workers: int,
    timeout: float,
    log: RunLog,
) -> None:
    """Fit the initial weights of the parts that ask for it.

    Args:
        parts: Models and the initialisers that wait for data.
        images: The training images.
        transforms: Those of the evaluation: features are taken without augmentation.
        device: Where the model is.
        num_workers: Processes that read images.
        timeout: Seconds an image may take in one of them; 0 waits for ever.
        log: Where to tell.
    """
    for built in parts:
        if built.data_inits:
            log.line("Fitting the initial weights to the training images ...")
            features = _features(built, images, transforms, device, num_workers, timeout, log)
            _fill_from(built, features, torch.tensor(images.labels))
            built.model.to(device)


def _fill_from(built: BuiltModel, features: Tensor, labels: Tensor) -> None:
    model = built.model.cpu()
    for init in built.data_inits:
        if init.kind == "neck":
            assert model.neck is not None
            weight, bias = lda(features, labels, model.neck.out_features, **init.args)  # type: ignore[arg-type]
            _fill(model.neck, weight, bias)
    embeddings = features
    if model.neck is not None:
        with torch.no_grad():
            embeddings = model.neck.eval()(features)
    for init in built.data_inits:
        if init.kind == "head":
            assert model.head is not None
            _fill(model.head, class_means(embeddings, labels, model.head.num_classes), None)  # type: ignore[arg-type]


def _features(
    built: BuiltModel,
    images: ImageDataset,
    transforms: Callable[[Any], Any],
    device: torch.device,
    num_workers: int,
    timeout: float,
    log: RunLog,
) -> Tensor:
    plain = images.with_transforms(transforms)
    batches = make_loader(
        plain,
        SequenceSampler(plain.labels, batch_size=64),
        num_workers=num_workers,
        timeout=timeout,
        share=(processes.rank(), processes.count()),
    )
    with log.bar("features", len(plain)) as bar:
        table = embed(
            built.model, batches, plain, device=device, feature_from="backbone", advance=bar.advance
        )
    return table.embeddings


def _fill(module: nn.Module, weight: Tensor, bias: Tensor | None) -> None:
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            last = name.rpartition(".")[2]
            if last == "weight":
                rows = getattr(module, "sharded", {}).get(name)
                weight = weight if rows is None else weight[rows.start : rows.stop]
                parameter.copy_(weight.reshape(parameter.shape))
            elif last == "bias":
                parameter.zero_() if bias is None else parameter.copy_(bias)
