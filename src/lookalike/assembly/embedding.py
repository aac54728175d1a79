"""The embeddings of one split of a YAML."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import torch
from torch import nn

from lookalike.assembly.data_parts import listed_transforms
from lookalike.assembly.eval_splits import EvalSplit, make_split
from lookalike.assembly.evaluation import Evaluation, build_evaluation, embed_split
from lookalike.assembly.job import Job
from lookalike.assembly.load import Run
from lookalike.assembly.machine import worker_limit
from lookalike.assembly.prepare import TRANSFORM_WORDS
from lookalike.config.schema import SplitSection
from lookalike.config.specs import SamplerSpec
from lookalike.errors import ConfigError, Problem, nearest
from lookalike.inference.exported import ExportedFolder
from lookalike.models.distillation_model import chosen_model
from lookalike.training import RunLog
from lookalike.types import EmbeddingTable


def embedded_split(job: Job, name: str, log: RunLog) -> EmbeddingTable:
    """Compute the table of a split; ``Train`` is read as the evaluation reads its images.

    Raises:
        ConfigError: If the YAML has no such split.
    """
    model = chosen_model(job.model)
    split = _split(job.run, job.evaluation, name, job.notes)
    table = embed_split(model, split, job.run, device=job.device, log=log)
    return replace(table, fingerprint=fingerprint(model))


def embedded_by_export(
    run: Run, folder: str, name: str, log: RunLog, notes: list[str], *, allow_program: bool = False
) -> EmbeddingTable:
    """Compute the table of a split with an exported model, on the CPU; see embedded_split.

    Raises:
        ConfigError: If the YAML has no such split, or reads its images in another way than the
            model was exported for.
        ExportError: If the folder is incomplete or was changed.
    """
    model = ExportedFolder(folder, allow_program=allow_program)
    evaluation = None
    if run.config.DataLoader.Eval is not None:
        evaluation = build_evaluation(run, num_workers=worker_limit(notes))
        wanted = listed_transforms(run.config.DataLoader.Eval.queries.dataset)
        if (known := model.card.get("preprocessing")) != json.loads(json.dumps(wanted)):
            raise ConfigError(
                f"{folder} was exported for images prepared by {known}, and the YAML prepares them "
                f"by {wanted}; use the YAML it was exported with, or export again."
            )
    if run.config.Global.retrieval_feature_from != "features":
        raise ConfigError(
            f"{folder} gives 'features' only, which Global.retrieval_feature_from "
            f"({run.config.Global.retrieval_feature_from}) is not."
        )
    split = _split(run, evaluation, name, notes)
    log.line(f"computing with {model.file}")
    table = embed_split(model, split, run, device=torch.device("cpu"), log=log, channels_last=False)
    return replace(table, fingerprint=model.fingerprint)


def _split(run: Run, evaluation: Evaluation | None, name: str, notes: list[str]) -> EvalSplit:
    train = run.config.DataLoader.Train
    known = {} if evaluation is None else {split.name: split for split in evaluation.splits}
    if evaluation is not None and len(known) == 1:
        known = dict.fromkeys(("Query", "Gallery", "Eval"), evaluation.query)
    if name in known:
        return known[name]
    if name == "Train" and train is not None:
        return make_split(run, "Train", _in_order(run, train), worker_limit(notes))
    loaders = run.document.data.get("DataLoader")
    names = [*known, *(["Train"] if isinstance(loaders, dict) and loaders.get("Train") else [])]
    problem = Problem(
        "DataLoader",
        f"has no split '{name}'.{nearest(name, names)} Splits: {', '.join(names) or 'none'}.",
        where=run.document.file,
    )
    raise ConfigError([problem])


def _in_order(run: Run, train: SplitSection) -> SplitSection:
    """Return the training split, every image once and under the evaluation's transforms."""
    evaluated = run.config.DataLoader.Eval
    dataset = train.dataset
    if evaluated is not None:
        word = next((w for w in TRANSFORM_WORDS if w in dataset.args), TRANSFORM_WORDS[0])
        args = {**dataset.args, word: listed_transforms(evaluated.queries.dataset)}
        dataset = dataset.model_copy(update={"args": args})
    size = train.sampler.args.get("batch_size", 64)
    sampler = SamplerSpec(batch_size=size)
    return train.model_copy(update={"dataset": dataset, "sampler": sampler})


def fingerprint(model: nn.Module) -> str:
    """Return a short hash of a model's weights."""
    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).numpy().tobytes())
    return digest.hexdigest()[:16]
