"""Folders that hold a model and all it takes to go on training it.

A checkpoint folder holds ``model.safetensors``, ``training_state.pt`` (read with ``weights_only``)
and ``manifest.json``, which is written last and lists the size and SHA-256 of the others; and texts
for people and other programs, which may be edited. A folder
is written under another name and renamed when complete; the previous one of that name is removed
only afterwards. So a kill at any moment leaves the old checkpoint or the new one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lookalike.errors import CheckpointError, SetupError

MODEL_FILE = "model.safetensors"
STATE_FILE = "training_state.pt"
MANIFEST = "manifest.json"
_FORMAT = 1


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
) -> None:
    """Write a checkpoint; whatever happens, ``folder`` is complete or as it was.

    Args:
        folder: Where to write.
        model: Tensors by name.
        state: Plain containers, numbers and tensors.
        facts: For the manifest; JSON.
        documents: Texts to put beside these, by file name.

    Raises:
        SetupError: If the disk is full or the folder cannot be written.
    """
    writing = folder.with_name(f".{folder.name}.writing")
    try:
        _remove(writing)
        writing.mkdir(parents=True)
        # safetensors refuses tensors that share memory; every entry is written on its own
        tensors = {
            k: t.detach().cpu().clone(memory_format=torch.contiguous_format)
            for k, t in model.items()
        }
        save_file(tensors, writing / MODEL_FILE)
        torch.save(dict(state), writing / STATE_FILE)
        _finish(writing, facts, documents or {})
        _put_in_place(writing, folder)
    except (OSError, RuntimeError) as error:
        shutil.rmtree(writing, ignore_errors=True)
        raise _cannot_write(folder, error) from error
    except Exception as error:
        shutil.rmtree(writing, ignore_errors=True)
        if type(error).__name__ == "SafetensorError":
            raise _cannot_write(folder, error) from error
        raise


def copy_checkpoint(source: Path, folder: Path) -> None:
    """Make ``folder`` the same checkpoint as ``source``; files are linked where possible."""
    writing = folder.with_name(f".{folder.name}.writing")
    try:
        _remove(writing)
        writing.mkdir(parents=True)
        manifest = json.loads((source / MANIFEST).read_text())
        for name in (*manifest["files"], *manifest.get("documents", ()), MANIFEST):
            try:
                os.link(source / name, writing / name)
            except OSError:
                shutil.copyfile(source / name, writing / name)
        _put_in_place(writing, folder)
    except OSError as error:
        shutil.rmtree(writing, ignore_errors=True)
        raise _cannot_write(folder, error) from error


def load_checkpoint(folder: str | Path) -> Checkpoint:
    """Read a checkpoint after verifying it.

    Args:
        folder: A checkpoint, or a run folder, whose ``latest`` is then meant.

    Raises:
        CheckpointError: If it is missing, incomplete or damaged; names an intact one beside it.
    """
    folder = find_checkpoint(Path(folder))
    facts = verify_checkpoint(folder)
    try:
        model = load_file(folder / MODEL_FILE)
        state = torch.load(folder / STATE_FILE, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - a file made to deceive fails in every way
        raise CheckpointError(
            f"{folder}: cannot be read though its checksums fit ({type(error).__name__}); it was "
            "not written by this program."
        ) from error
    return Checkpoint(model, state, facts, folder)


def find_checkpoint(path: Path) -> Path:
    """Return the checkpoint folder a path means."""
    for folder in (path, path / "latest"):
        if (folder / MANIFEST).is_file():
            return folder
        previous = folder.with_name(f".{folder.name}.previous")
        if (previous / MANIFEST).is_file():
            # the moment between the two renames of a replacement
            return previous
    near = sorted(p.parent.name for p in path.parent.glob(f"*/{MANIFEST}"))
    inside = sorted(p.parent.name for p in path.glob(f"*/{MANIFEST}"))
    known = ", ".join(inside or near) or "none"
    raise CheckpointError(f"{path}: no complete checkpoint here. Checkpoints nearby: {known}.")


def verify_checkpoint(folder: Path) -> dict[str, Any]:
    """Check every file against the manifest and return the manifest.

    Raises:
        CheckpointError: Names the file that is missing or differs, and intact neighbours.
    """
    try:
        return _verified(folder)
    except CheckpointError as error:
        raise CheckpointError(f"{error}{_neighbours(folder)}") from error


def _verified(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        files = {str(name): str(entry["sha256"]) for name, entry in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder}: the manifest cannot be read ({error}).") from error
    for name in (MODEL_FILE, STATE_FILE):
        if name not in files:
            raise CheckpointError(f"{folder}: the manifest does not list {name}.")
    for name, expected in files.items():
        path = folder / name
        if Path(name).name != name or not path.is_file():
            raise CheckpointError(f"{folder}: {name} is missing.")
        if file_sha256(path) != expected:
            raise CheckpointError(f"{path}: damaged; it is not what was saved (SHA-256 differs).")
    return manifest


def _neighbours(folder: Path) -> str:
    names = []
    for manifest in sorted(folder.parent.glob(f"*/{MANIFEST}")):
        if manifest.parent != folder and _is_intact(manifest.parent):
            names.append(str(manifest.parent))
    return f" Intact ones: {', '.join(names)}." if names else " No other checkpoint is beside it."


def _is_intact(folder: Path) -> bool:
    try:
        _verified(folder)
    except (CheckpointError, OSError):
        return False
    return True


def _finish(folder: Path, facts: Mapping[str, Any], documents: Mapping[str, str]) -> None:
    files = {}
    for path in sorted(folder.iterdir()):
        _sync(path)
        files[path.name] = {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
    for name, text in documents.items():
        (folder / name).write_text(text, encoding="utf-8")
        _sync(folder / name)
    manifest = {"format": _FORMAT, **facts, "files": files, "documents": list(documents)}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))
    _sync(folder / MANIFEST)
    _sync(folder)


def _put_in_place(writing: Path, folder: Path) -> None:
    previous = folder.with_name(f".{folder.name}.previous")
    if folder.exists():
        _remove(previous)
        folder.rename(previous)
    writing.rename(folder)
    _sync(folder.parent)
    _remove(previous)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cannot_write(folder: Path, error: Exception) -> SetupError:
    try:
        place = next(p for p in [folder, *folder.parents] if p.exists())
        free = f"{shutil.disk_usage(place).free / 1e6:,.0f} MB free"
    except OSError:
        free = "free space unknown"
    return SetupError(
        f"{folder}: the checkpoint could not be written ({error}; {free}). What was saved before "
        "is intact."
    )
