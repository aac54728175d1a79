"""The embeddings of one split of a YAML."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from torch import nn

from lookalike.assembly.data_parts import listed_transforms
from lookalike.assembly.evaluation import EvalSplit, embed_split, make_split
from lookalike.assembly.job import Job
from lookalike.assembly.machine import worker_limit
from lookalike.assembly.prepare import TRANSFORM_WORDS
from lookalike.config.schema import SplitSection
from lookalike.config.specs import SamplerSpec
from lookalike.errors import ConfigError, Problem, nearest
from lookalike.models.distillation_model import chosen_model
from lookalike.training import RunLog
from lookalike.types import EmbeddingTable


def embedded_split(job: Job, name: str, log: RunLog) -> EmbeddingTable:
    """Compute the table of a split; ``Train`` is read as the evaluation reads its images.

    Raises:
        ConfigError: If the YAML has no such split.
    """
    model = chosen_model(job.model)
    split = _split(job, name)
    table = embed_split(model, split, job.run, device=job.device, log=log)
    return replace(table, fingerprint=fingerprint(model))


def _split(job: Job, name: str) -> EvalSplit:
    evaluation, train = job.evaluation, job.run.config.DataLoader.Train
    known = {} if evaluation is None else {split.name: split for split in evaluation.splits}
    if evaluation is not None and len(known) == 1:
        known = dict.fromkeys(("Query", "Gallery", "Eval"), evaluation.query)
    if name in known:
        return known[name]
    if name == "Train" and train is not None:
        return make_split(job.run, "Train", _in_order(job, train), worker_limit(job.notes))
    names = [*known, *(["Train"] if train is not None else [])]
    problem = Problem(
        "DataLoader",
        f"has no split '{name}'.{nearest(name, names)} Splits: {', '.join(names) or 'none'}.",
        where=job.run.document.file,
    )
    raise ConfigError([problem])


def _in_order(job: Job, train: SplitSection) -> SplitSection:
    """Return the training split, every image once and under the evaluation's transforms."""
    evaluated = job.run.config.DataLoader.Eval
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
