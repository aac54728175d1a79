"""A run in several processes: what goes with it, and that all of them run the same."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lookalike
from lookalike import processes
from lookalike.assembly.job import Job, seed_of
from lookalike.assembly.load import Run
from lookalike.assembly.machine import seed_everything
from lookalike.config.global_section import GlobalSection
from lookalike.errors import ConfigError, Problem, ProcessError
from lookalike.models.sharded import sharded_parameters
from lookalike.models.shared_batch_norm import share_statistics
from lookalike.optim import ScheduledOptimizer

ALONE = {
    "train_mode": "looks into the norms of one model; it runs in one process",
    "micro_batch_size": "passes gradients on in pieces, which no other process waits for",
    "feature_cache": "trains at thousands of images a second in one process",
    "bad_images": "would leave processes with batches of different sizes; check --data "
    "--write-clean-list makes a list without them",
}


def check_several(run: Run) -> None:
    """Refuse what runs in one process only.

    Raises:
        ConfigError: Names every such setting.
    """
    settings, found = run.config.Global, []
    if processes.count() == 1:
        return
    for key, why in ALONE.items():
        if getattr(settings, key) != GlobalSection.model_fields[key].default:
            text = f"does not go with {processes.count()} processes: it {why}."
            found.append(run.document.problem(("Global", key), text))
    if found:
        raise ConfigError(found)


def prepare_several(
    job: Job, optimizers: Sequence[ScheduledOptimizer], about: Mapping[str, Any]
) -> None:
    """Make the processes one run: norms that share statistics, streams that differ.

    Args:
        job: Of this process.
        optimizers: Of this process.
        about: What a checkpoint says of its run; see :func:`lookalike.assembly.facts.facts`.

    Raises:
        ConfigError: If the head is dealt to them and something needs it whole.
        ProcessError: If they do not run the same.
    """
    if processes.count() == 1:
        return
    for part in job.built.parts:
        if part.arch.use_sync_bn:
            share_statistics(part.model)
    _check_sharded(job, optimizers)
    _check_same({**_versions(about), **_lists(about), **_configuration(about)})
    job.notes += _notes(job)
    if processes.rank() > 0:
        # dropout and sampling draw otherwise in each
        seed_everything(seed_of(job.run) + 1_000_003 * processes.rank())


def _check_sharded(job: Job, optimizers: Sequence[ScheduledOptimizer]) -> None:
    if not sharded_parameters(job.model):
        return
    config = job.run.config
    dtype = config.AMP.dtype or ("float16" if job.device.type == "cuda" else "bfloat16")
    reasons = {
        "AMP in float16 scales gradients by what all of them say; use AMP.dtype: bfloat16": (
            config.AMP.use_amp and dtype == "float16"
        ),
        "clip_norm and clip_global_norm need the norm of all rows": any(
            one.clip_norm is not None or one.clip_global_norm is not None for one in optimizers
        ),
        "eval_mode classification needs the logits of all classes": job.evaluation is not None
        and config.Global.eval_mode == "classification",
    }
    start = f"sharded deals the classes to {processes.count()} processes, but"
    problems = [Problem("Arch.Head", f"{start} {why}.") for why, holds in reasons.items() if holds]
    if problems:
        raise ConfigError(problems)


def _check_same(own: dict[str, str]) -> None:
    """Compare with the other processes what must be the same in all.

    Raises:
        ProcessError: Names what differs, and where.
    """
    found, texts = processes.each(own), []
    for key in dict.fromkeys(key for one in found for key in one):
        where: dict[str, list[str]] = {}
        for number, one in enumerate(found):
            where.setdefault(one.get(key, "nothing"), []).append(str(number))
        if len(where) > 1:
            said = [f"{value} in process {', '.join(numbers)}" for value, numbers in where.items()]
            texts.append(f"{key}: {'; '.join(said)}")
    if texts:
        raise ProcessError(
            "the processes do not run the same, so nothing was started. " + ". ".join(texts) + "."
        )


def _versions(about: Mapping[str, Any]) -> dict[str, str]:
    found = {f"version of {name}": text for name, text in about["versions"].items()}
    del found["version of platform"], found["version of python"]
    return {**found, "commit": str(about["git_commit"]), "code": _code()}


def _code() -> str:
    """Return a hash of this package: a copy that was changed has the version it had before."""
    folder, digest = Path(lookalike.__file__).parent, hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode())
        digest.update(path.read_bytes())
    return f"SHA-256 {digest.hexdigest()[:12]}"


def _lists(about: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"{name} list": f"{data['images']} images, SHA-256 {data['list_sha256'][:12]}"
        for name, data in about["data"].items()
    }


def _configuration(about: Mapping[str, Any]) -> dict[str, str]:
    text = json.dumps(about["config"], sort_keys=True)
    return {"configuration": f"SHA-256 {hashlib.sha256(text.encode()).hexdigest()[:12]}"}


def _notes(job: Job) -> list[str]:
    many, notes = processes.count(), []
    # the launcher of each host counts the failures of its own processes
    again = max(map(int, processes.each(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))))
    if again:
        most = os.environ.get("TORCHELASTIC_MAX_RESTARTS", "?")
        notes.append(f"started again after a process had failed, {again} of {most} times.")
    assert job.run.config.DataLoader.Train is not None
    each = job.run.config.DataLoader.Train.sampler.args.get("batch_size")
    if not isinstance(each, int):
        return [*notes, f"{many} processes."]
    notes.append(
        f"{many} processes with {each} images each: a batch of {many * each}. The learning rate is "
        f"used as written; with a batch {many} times as large, {many} times the rate and a warm-up "
        "are the usual start."
    )
    if not any(part.arch.use_sync_bn for part in job.built.parts):
        notes.append(
            "batch norms see the images of their process; Arch.use_sync_bn: True shows them all."
        )
    return notes
