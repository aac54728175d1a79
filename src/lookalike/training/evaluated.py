"""What an evaluation adds to a checkpoint that was saved before it.

A finished epoch is saved before it is evaluated. The evaluation changes neither the model nor the
optimisers' tensors, so its result is added as one small file; the manifest that lists the file
replaces the one before in a single rename, and a kill leaves the one or the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lookalike.durable import file_sha256, remove, rename, sync, synced
from lookalike.errors import writing
from lookalike.training.intact import MANIFEST, read_manifest, write_manifest

EVALUATED_FILE = "after_evaluation.pt"
_WHAT = "checkpoint"


def add_evaluation(
    folder: Path,
    *,
    state: Mapping[str, Any],
    facts: Mapping[str, Any],
    documents: Mapping[str, str] | None = None,
) -> None:
    """Make a checkpoint that was saved before an evaluation the one after it.

    Args:
        folder: The checkpoint, saved with ``evaluation_due`` in its state.
        state: As it is now; of ``update`` only the schedules may have changed.
        facts: For the manifest.
        documents: Texts that replace those of the same name.

    Raises:
        SetupError: If it cannot be written; then the checkpoint is as it was.
    """
    manifest = read_manifest(folder)
    # other checkpoints share files by hard links, so each is made anew and then named
    with writing(folder / EVALUATED_FILE):
        path = folder / EVALUATED_FILE
        remove(path, _WHAT)
        with synced(path, _WHAT) as file:
            torch.save(_without_tensors_of_update(state), file)
        for name, text in (documents or {}).items():
            _replace(folder / name, text.encode())
        manifest.pop("sha256", None)
        entry = {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        content = {**manifest, **facts, "files": {**manifest["files"], path.name: entry}}
        with synced(_hidden(folder / MANIFEST), _WHAT) as file:
            write_manifest(file, content)
        sync(folder, _WHAT)
        rename(_hidden(folder / MANIFEST), folder / MANIFEST, _WHAT)
        sync(folder, _WHAT)


def with_evaluation(state: dict[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state after an evaluation.

    Args:
        state: As it was saved before it.
        added: What :func:`add_evaluation` has written.
    """
    whole = {**state, **added}
    schedules = whole.pop("schedules")
    for optimizer, schedule in zip(whole["update"]["optimizers"], schedules, strict=True):
        optimizer["schedule"] = schedule
    whole.pop("evaluation_due", None)
    return whole


def _without_tensors_of_update(state: Mapping[str, Any]) -> dict[str, Any]:
    small = {key: value for key, value in state.items() if key != "update"}
    return small | {"schedules": [one["schedule"] for one in state["update"]["optimizers"]]}


def _hidden(path: Path) -> Path:
    return path.with_name(f".{path.name}.writing")


def _replace(path: Path, content: bytes) -> None:
    with synced(_hidden(path), _WHAT) as file:
        file.write(content)
    rename(_hidden(path), path, _WHAT)
