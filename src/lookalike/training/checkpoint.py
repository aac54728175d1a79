"""Folders that hold a model and all it takes to go on training it.

A checkpoint folder holds ``model.safetensors``, ``training_state.pt`` (read with ``weights_only``)
and ``manifest.json``, which is written last and lists the size and SHA-256 of the others; and texts
for people and other programs, which may be edited. ``after_evaluation.pt`` holds what an evaluation
has added since (:mod:`lookalike.training.evaluated`). Of tables whose rows lie with several
processes each has written its own to ``rows_of_process_<n>.safetensors``. A folder is written under
another name and renamed when complete, and the previous one of that name is put aside first; so a
kill at any moment leaves the old checkpoint or the new one.
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
from safetensors.torch import save_file
from torch import Tensor

from lookalike import processes
from lookalike.durable import file_sha256, remove, rename, sync, synced
from lookalike.errors import CheckpointError, LookalikeError, SetupError, system_error, why
from lookalike.faults import fault_point
from lookalike.models.sharded import Rows
from lookalike.models.tables import Part, Tables, of_model, tables_in, write_tables
from lookalike.models.torch_files import read_torch_file
from lookalike.models.weights import MODEL_FILE, read_safetensors
from lookalike.pickles import Refused
from lookalike.training.evaluated import EVALUATED_FILE, with_evaluation
from lookalike.training.intact import (
    FORMAT,
    MANIFEST,
    STATE_FILE,
    beside,
    find_checkpoint,
    read_manifest,
    verify_checkpoint,
    verify_together,
    write_manifest,
)
from lookalike.training.stand_ins import filled, stand_in, stood_for

_WHAT = "checkpoint"


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
        model: The model's tensors by name.
        state: What :meth:`Trainer.state` returned when it was saved.
        facts: The manifest's other entries: step, epoch, metrics, versions, data hashes.
        folder: Where it was found.
        tables: What is still on the disk, if it was only opened; see ``with_tables``.
    """

    model: dict[str, Any]
    state: dict[str, Any]
    facts: dict[str, Any]
    folder: Path
    tables: Tables | None = None

    def with_tables(self, value: Any, wanted: Mapping[str, Rows]) -> Any:
        """Return nested containers with copies of their tensors, and tables from the disk.

        Args:
            value: Some of ``model`` or ``state``.
            wanted: Names to rows; all rows of tables that are not named.

        Raises:
            CheckpointError: If a table is not there, or has another number of rows.
        """
        try:
            names = set(stood_for(value))
        except RecursionError as error:
            raise CheckpointError(f"{self.folder}: its state is nested too deeply.") from error
        missing = names.difference(() if self.tables is None else self.tables.about)
        if missing:
            raise CheckpointError(f"{self.folder}: no rows of {', '.join(sorted(missing))}.")
        return filled(value, {} if self.tables is None else self.tables.read(names, wanted))


def save_checkpoint(
    folder: Path,
    *,
    model: Mapping[str, Tensor],
    state: Mapping[str, Any],
    facts: Mapping[str, Any],
    documents: Mapping[str, str] | None = None,
    keep_previous: bool = False,
    tables: Mapping[str, Part] | None = None,
) -> None:
    """Write a checkpoint; whatever happens, ``folder`` is complete or as it was.

    Of several processes the first one writes it, and each its rows of tables: all must call it.

    Args:
        folder: Where to write.
        model: Tensors by name.
        state: Plain containers, numbers and tensors.
        facts: For the manifest; JSON.
        documents: Texts to put beside these, by file name.
        keep_previous: Keep the one that was there, in case that this one's disk blocks rot.
        tables: What this process has of those whose rows lie with several, by name.

    Raises:
        SetupError: If the disk is full or the folder cannot be written.
    """
    tables = tables or {}
    if processes.rank() > 0:
        _write_for_first(folder, tables)
        return
    # safetensors refuses tensors that share memory; every entry is written on its own
    tensors = {
        k: t.detach().cpu().clone(memory_format=torch.contiguous_format) for k, t in model.items()
    }
    needed = num_bytes(tensors) + num_bytes(state)
    needed += processes.count() * num_bytes([part.tensor for part in tables.values()])
    with _replacing(folder, needed, keep_previous) as unfinished:
        files = _write_tables(unfinished, tables)
        fault_point(f"{_WHAT}.write_model")
        save_file(tensors, unfinished / MODEL_FILE)
        sync(unfinished / MODEL_FILE, _WHAT)
        with synced(unfinished / STATE_FILE, _WHAT) as file:
            torch.save(dict(state), file)
        files |= {name: _entry(unfinished / name) for name in (MODEL_FILE, STATE_FILE)}
        for name, text in (documents or {}).items():
            with synced(unfinished / name, _WHAT) as file:
                file.write(text.encode())
        content = {"format": FORMAT, **facts, "files": files, "documents": list(documents or {})}
        with synced(unfinished / MANIFEST, _WHAT) as file:
            write_manifest(file, content)


def _entry(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": file_sha256(path)}


def _write_tables(folder: Path, tables: Mapping[str, Part]) -> dict[str, Any]:
    """Write the rows of this process; return what the manifest says of the files of all."""
    if not tables:
        return {}
    path = write_tables(folder, tables, _WHAT)
    own = {path.name: _entry(path)} if path.is_file() else {}
    return {name: entry for one in processes.each(own) for name, entry in one.items()}


def _write_for_first(folder: Path, tables: Mapping[str, Part]) -> None:
    """Write the rows of this process where the first one makes a checkpoint."""
    try:
        _write_tables(beside(folder, "writing"), tables)
    except Exception as error:
        cause = system_error(error)
        if cause is None:
            raise
        found = SetupError(_not_written(folder, cause))
        found.told = True  # by the first one
        raise found from error


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
        raise SetupError(_not_written(folder, cause, needed)) from error


def _not_written(folder: Path, cause: OSError, needed: int | None = None) -> str:
    return (
        f"{folder}: the checkpoint could not be written ({why(cause, folder, needed)}). What was "
        "saved before is intact."
    )


def load_checkpoint(folder: str | Path) -> Checkpoint:
    """Read a checkpoint after verifying it.

    Args:
        folder: A checkpoint, or a run folder, whose ``latest`` is then meant.

    Raises:
        CheckpointError: If it is missing, incomplete or damaged; names an intact one beside it.
        SetupError: If the system cannot read it.
    """
    folder = find_checkpoint(Path(folder))
    found = _read(folder, verify_checkpoint(folder))
    if found.tables is None:
        return found
    model, state = found.with_tables((found.model, found.state), {})
    return Checkpoint(model, state, found.facts, folder)


def open_checkpoint(folder: str | Path) -> Checkpoint:
    """Read a checkpoint to go on from it: large tensors and tables stay on the disk until used.

    Every process of a run must call it; each verifies some of the files for all.

    Args:
        folder: As of :func:`load_checkpoint`.

    Raises:
        CheckpointError: As there, in all processes.
        SetupError: If the system cannot read it.
    """
    folder = find_checkpoint(Path(folder))
    return _read(folder, verify_together(folder), mapped=True)


def _read(folder: Path, facts: dict[str, Any], mapped: bool = False) -> Checkpoint:
    try:
        model: dict[str, Any] = read_safetensors(folder / MODEL_FILE)
        state = read_torch_file(folder / STATE_FILE, mapped=mapped, walked=True)
        if not isinstance(state, dict):
            raise TypeError(f"{STATE_FILE} holds a {type(state).__name__}")
        if EVALUATED_FILE in facts["files"]:
            added = read_torch_file(folder / EVALUATED_FILE, walked=True)
            state = with_evaluation(state, added)
        tables = tables_in(folder)
    except Exception as error:  # noqa: BLE001 - a file made to deceive fails in every way
        reason = str(error) if isinstance(error, Refused) else type(error).__name__
        raise CheckpointError(
            f"{folder}: cannot be read though its checksums fit ({reason}); it was not written by "
            "this program."
        ) from error
    lacking = {} if tables is None else of_model(tables.about)
    model |= {key: stand_in(name) for key, name in lacking.items()}
    return Checkpoint(model, state, facts, folder, tables)


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
