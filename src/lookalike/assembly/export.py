"""A run's trained model to files, compared with the model on real images before they are kept."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lookalike.assembly.class_numbering import CLASSES, write_class_names
from lookalike.assembly.data_parts import listed_transforms
from lookalike.assembly.facts import versions
from lookalike.assembly.job import Job
from lookalike.assembly.parity import compare as _compare
from lookalike.assembly.parity import in_batches, own_drift
from lookalike.assembly.untrained import parts_of_export
from lookalike.data import ImageDataset
from lookalike.durable import file_sha256, locked_folder, remove, rename, staging, sync, synced
from lookalike.errors import CheckpointError, ConfigError, ExportError, LookalikeError, writing
from lookalike.inference.export import (
    ONNX,
    PROGRAM,
    ExportedModel,
    Runner,
    one_output,
    run_onnx,
    run_program,
    traced,
    write_onnx,
    write_program,
)
from lookalike.models.distillation_model import chosen_model
from lookalike.models.evaluating import evaluating

CARD = "card.json"


def export(
    job: Job,
    *,
    onnx: bool = True,
    images: int = 64,
    allow_random_weights: bool = False,
    advance: Callable[[str], None],
) -> dict[str, Any]:
    """Write the model into ``Global.save_inference_dir`` and return its card.

    Args:
        job: Built without training data.
        onnx: Write ONNX besides the torch.export archive.
        images: How many images of the evaluation the files are tried on; without an evaluation
            they are tried on noise, and the card says so.
        allow_random_weights: Export a model some of whose weights no file gave.
        advance: Called with what is done next.

    Raises:
        CheckpointError: If parts of the model have random weights, unless that is allowed.
        ExportError: If a file differs from the model; then nothing is left behind.
    """
    untrained = job.untrained(parts_of_export(job.run.config))
    if untrained and not allow_random_weights:
        raise CheckpointError(
            f"{untrained} Nothing was exported; --allow-random-weights exports it as it is."
        )
    settings = job.run.config.Global
    folder = Path(settings.save_inference_dir).resolve()
    model = chosen_model(job.model).cpu()
    if _key(job) == "logits" and getattr(model, "head", None) is None:
        problem = job.run.document.problem(
            ("Arch", "infer_output_key"), "is logits, but there is no Arch.Head to make them."
        )
        raise ConfigError([problem])
    key, softmax = _key(job), _softmax(job)
    exported = ExportedModel(model, key, softmax=softmax)
    advance("reading images to compare with")
    sample, labels = _sample(job, images)

    def trained(images: Tensor) -> Tensor:
        with evaluating(model):
            return one_output(model, images, key, softmax=softmax)

    expected = in_batches(trained, sample)
    own = partial(own_drift, model, trained, sample, expected)
    shape = list(sample.shape[1:])
    if shape != settings.image_shape:
        advance(
            f"taking the size of the evaluation's images, {shape}; the default of "
            f"Global.image_shape is {settings.image_shape}"
        )
    card = _card(job, exported, shape, expected.shape[1])
    with staging(folder) as unfinished:
        parity = {}
        for name, write, load in _formats(exported, shape, card, onnx):
            advance(f"writing {name}")
            with writing(unfinished / name), _exporting(name):
                write(unfinished / name)
            advance(f"comparing {name} with the model")
            run = load(unfinished / name)
            parity[name] = _compare(name, run, sample, expected, labels, own)
        card["parity"] = parity
        write_class_names(unfinished, None if job.source is None else job.source.place)
        card["files"] = {path.name: file_sha256(path) for path in sorted(unfinished.iterdir())}
        with synced(unfinished / CARD) as file:
            file.write((json.dumps(card, indent=1, default=vars) + "\n").encode())
        _publish(unfinished, folder)
    return card


def _publish(unfinished: Path, folder: Path) -> None:
    """Put an export in its place, which may be a folder with an earlier one and other files.

    Then the earlier one is removed first, and the card comes last: a folder without one is no
    export.
    """
    for path in (*unfinished.iterdir(), unfinished):
        sync(path)
    try:
        rename(unfinished, folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    else:
        sync(folder.parent)
        return
    with locked_folder(folder):
        for name in (CARD, CLASSES, PROGRAM, ONNX, f"{ONNX}.data"):
            remove(folder / name)
        sync(folder)
        for path in sorted(unfinished.iterdir(), key=lambda path: path.name == CARD):
            rename(path, folder / path.name)
        sync(folder)


@contextmanager
def _exporting(name: str) -> Iterator[None]:
    """Turn what the exporters raise of a model they cannot follow into a message."""
    try:
        yield
    except (OSError, LookalikeError):
        raise
    except Exception as error:  # two exporters, with errors of every kind
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise ExportError(
            f"{name}: PyTorch cannot write this model ({reason}). --debug shows where."
        ) from error


def _key(job: Job) -> str:
    return job.run.config.Arch.infer_output_key or "features"


def _softmax(job: Job) -> bool:
    """Take the softmax of logits by default; of anything else only if the YAML says so."""
    arch = job.run.config.Arch
    said = "infer_add_softmax" in arch.model_fields_set
    return arch.infer_add_softmax and (said or _key(job) == "logits")


def _formats(
    exported: ExportedModel, shape: list[int], card: Mapping[str, Any], onnx: bool
) -> list[tuple[str, Callable[[Path], None], Callable[[Path], Runner]]]:
    program = cache(lambda: traced(exported, shape))  # at the first use, whose errors are told
    formats: list[tuple[str, Callable[[Path], None], Callable[[Path], Runner]]] = [
        (PROGRAM, lambda path: write_program(program(), path), run_program)
    ]
    if onnx:
        facts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in card.items()}
        formats.append(
            (ONNX, lambda path: write_onnx(program(), path, facts, exported.key), run_onnx)
        )
    return formats


def _sample(job: Job, images: int) -> tuple[Tensor, Tensor]:
    """Return images ``[N, 3, H, W]`` of the evaluation and their labels ``[N]``."""
    if job.evaluation is None:
        shape = job.run.config.Global.image_shape
        noise = torch.randn(images, *shape, generator=torch.Generator().manual_seed(0))
        return noise, torch.arange(images)
    query, gallery = job.evaluation.query.dataset, job.evaluation.gallery.dataset
    chosen = [(query, i) for i in _spread(query, images // 2 if gallery is not query else images)]
    if gallery is not query:
        wanted = {query.labels[i] for _, i in chosen}
        related = [i for i, label in enumerate(gallery.labels) if label in wanted]
        rest = related[: images - len(chosen)] or _spread(gallery, images - len(chosen))
        chosen += [(gallery, i) for i in rest]
    samples = [dataset[i] for dataset, i in chosen]
    return torch.stack([s.image for s in samples]), torch.tensor([s.label for s in samples])


def _spread(dataset: ImageDataset, count: int) -> list[int]:
    """Return images of as many labels as there is room for in pairs."""
    by_label: dict[int, list[int]] = {}
    for index, label in enumerate(dataset.labels):
        if len(by_label.setdefault(label, [])) < 2:
            by_label[label].append(index)
    pairs = sorted(by_label.values(), key=len, reverse=True)
    return [index for pair in pairs for index in pair][:count]


def _card(job: Job, exported: ExportedModel, shape: list[int], size: int) -> dict[str, Any]:
    config = job.run.config
    evaluation, section = job.evaluation, config.DataLoader.Eval
    return {
        "format": 1,
        "versions": versions(),
        "config": job.run.document.file,
        "config_sha256": hashlib.sha256(job.run.document.text.encode()).hexdigest(),
        "overrides": list(job.run.document.overrides.values()),
        "weights": "" if job.source is None else job.source.place,
        "input": {
            "name": "images",
            "shape": ["batch", *shape],
            "colours": "RGB",
            "dtype": "float32",
        },
        # resize rule, mean and std, as the YAML has them
        "preprocessing": [] if section is None else listed_transforms(section.queries.dataset),
        "output": {"key": exported.key, "size": size, "softmax": exported.softmax},
        "compare": {
            "normalize": config.Global.feature_normalize,
            "binarize": config.Global.feature_binarize,
        },
        "labels": None if evaluation is None else evaluation.query.dataset.source,
        "compared_on": "noise" if evaluation is None else "images of DataLoader.Eval",
    }
