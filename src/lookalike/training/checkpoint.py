"""Folders that hold a model and all it takes to go on training it.

A checkpoint folder holds ``model.safetensors``, ``training_state.pt`` (read with ``weights_only``)
and ``manifest.json``, which is written last and lists the size and SHA-256 of the others; and texts
for people and other programs, which may be edited. A folder
is written under another name and renamed when complete, and the previous one of that name is put
aside first; so a kill at any moment leaves the old checkpoint or the new one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lookalike.archives import check_unpacked_size
from lookalike.durable import file_sha256, remove, rename, sync, synced
from lookalike.errors import CheckpointError, LookalikeError, SetupError, system_error, why
from lookalike.faults import fault_point
from lookalike.training.intact import (
    FORMAT,
    MANIFEST,
    MODEL_FILE,
    STATE_FILE,
    beside,
    find_checkpoint,
    read_manifest,
    verify_checkpoint,
    write_manifest,
)

_WHAT = "checkpoint"


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
        model: The model's tensors by name.
        state: What :meth:`Trainer.state` returned when it was saved.
        facts: The manifest's other entries: step, epoch, metrics, versions, data hashes.
        folder: Where it was found.
    """

    model: dict[str, Tensor]
    state: dict[str, Any]
    facts: dict[str, Any]
    folder: Path


def save_checkpoint(
    folder: Path,
    *,
    model: Mapping[str, Tensor],
    state: Mapping[str, Any],
    facts: Mapping[str, Any],
    documents: Mapping[str, str] | None = None,
    keep_previous: bool = False,
) -> None:
    """Write a checkpoint; whatever happens, ``folder`` is complete or as it was.

    Args:
        folder: Where to write.
        model: Tensors by name.
        state: Plain containers, numbers and tensors.
        facts: For the manifest; JSON.
        documents: Texts to put beside these, by file name.
        keep_previous: Keep the one that was there, in case that this one's disk blocks rot.

    Raises:
        SetupError: If the disk is full or the folder cannot be written.
    """
    # safetensors refuses tensors that share memory; every entry is written on its own
    tensors = {
        k: t.detach().cpu().clone(memory_format=torch.contiguous_format) for k, t in model.items()
    }
    needed = num_bytes(tensors) + num_bytes(state)
    with _replacing(folder, needed, keep_previous) as unfinished:
        fault_point(f"{_WHAT}.write_model")
        save_file(tensors, unfinished / MODEL_FILE)
        sync(unfinished / MODEL_FILE, _WHAT)
        with synced(unfinished / STATE_FILE, _WHAT) as file:
            torch.save(dict(state), file)
        files = {
            name: {
                "bytes": (unfinished / name).stat().st_size,
                "sha256": file_sha256(unfinished / name),
            }
            for name in (MODEL_FILE, STATE_FILE)
        }
        for name, text in (documents or {}).items():
            with synced(unfinished / name, _WHAT) as file:
                file.write(text.encode())
        content = {"format": FORMAT, **facts, "files": files, "documents": list(documents or {})}
        with synced(unfinished / MANIFEST, _WHAT) as file:
            write_manifest(file, content)


def copy_checkpoint(source: Path, folder: Path) -> None:
    """Make ``folder`` the same checkpoint as ``source``; files are linked where possible."""
    with _replacing(folder) as unfinished:
        manifest = read_manifest(source)
        for name in (*manifest["files"], *manifest.get("documents", ()), MANIFEST):
            if Path(name).name != name:
                raise CheckpointError(f"{source}: the manifest names {name}, outside its folder.")
            fault_point(f"{_WHAT}.link")
            try:
                os.link(source / name, unfinished / name)
            except OSError:
                shutil.copyfile(source / name, unfinished / name)
                sync(unfinished / name, _WHAT)


@contextmanager
def _replacing(
    folder: Path, needed: int | None = None, keep_previous: bool = False
) -> Iterator[Path]:
    """Fill a new folder under another name and put it in the place of an old one.

    Args:
        folder: The place.
        needed: Bytes that will be written, about, where it is known; for the message.
        keep_previous: Leave the old one beside the new one.

    Raises:
        SetupError: If it cannot be written; then the old one is where it was.
    """
    unfinished, previous = beside(folder, "writing"), beside(folder, "previous")
    try:
        remove(unfinished, _WHAT)
        unfinished.mkdir(parents=True)
        yield unfinished
        sync(unfinished, _WHAT)
        if folder.exists():
            remove(previous, _WHAT)
            rename(folder, previous, _WHAT)
        rename(unfinished, folder, _WHAT)
        sync(folder.parent, _WHAT)
        if not keep_previous:
            remove(previous, _WHAT)
    except Exception as error:
        cause = system_error(error)
        shutil.rmtree(unfinished, ignore_errors=True)
        if not folder.exists() and previous.exists():
            previous.rename(folder)
        if cause is None or isinstance(error, LookalikeError):
            raise
        raise SetupError(
            f"{folder}: the checkpoint could not be written ({why(cause, folder, needed)}). What "
            "was saved before is intact."
        ) from error


def load_checkpoint(folder: str | Path) -> Checkpoint:
    """Read a checkpoint after verifying it.

    Args:
        folder: A checkpoint, or a run folder, whose ``latest`` is then meant.

    Raises:
        CheckpointError: If it is missing, incomplete or damaged; names an intact one beside it.
        SetupError: If the system cannot read it.
    """
    folder = find_checkpoint(Path(folder))
    facts = verify_checkpoint(folder)
    try:
        check_unpacked_size(folder / STATE_FILE)
        model = load_file(folder / MODEL_FILE)
        state = torch.load(folder / STATE_FILE, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - a file made to deceive fails in every way
        raise CheckpointError(
            f"{folder}: cannot be read though its checksums fit ({type(error).__name__}); it was "
            "not written by this program."
        ) from error
    return Checkpoint(model, state, facts, folder)


def num_bytes(value: Any) -> int:
    """Return the bytes of all tensors in nested containers.

    Example:
        >>> num_bytes({"a": [torch.zeros(3), None], "b": torch.zeros(2, dtype=torch.uint8)})
        14
    """
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(map(num_bytes, value.values()))
    return sum(map(num_bytes, value)) if isinstance(value, list | tuple) else 0
