"""Which checkpoints of a run folder are whole, and which one to go on from.

A checkpoint that is being replaced lies beside its place under a hidden name for a moment:
``.latest.writing`` is the new one while it is written, ``.latest.previous`` the one before. That of
``latest`` is kept, and is what a run goes on from when ``latest`` turns out to be damaged.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from lookalike import processes
from lookalike.durable import file_sha256, remove, rename
from lookalike.errors import CheckpointError, SetupError, writing
from lookalike.models.weights import MODEL_FILE

STATE_FILE = "training_state.pt"
MANIFEST = "manifest.json"
FORMAT = 2  # 1 had no hash of the manifest itself
LATEST, BEST = "latest", "best_model"

# of a manifest: it holds the run's configuration and no data
_MOST = 16_000_000
_OWN_HASH = ',\n "sha256": "'
_OURS = rf"{LATEST}|{BEST}|{BEST}_ema|epoch_\d+"
_LEFT_BEHIND = re.compile(rf"\.({_OURS})\.(writing|removing|previous)")


def beside(folder: Path, what: str) -> Path:
    """Return the hidden name beside a checkpoint under which it is written, removed or kept."""
    return folder.with_name(f".{folder.name}.{what}")


def find_checkpoint(path: Path) -> Path:
    """Return the checkpoint folder a path means.

    Raises:
        CheckpointError: If there is none; names those nearby.
    """
    for folder in (path, path / LATEST):
        if (found := checkpoint_at(folder)) is not None:
            return found
    near = sorted(p.parent.name for p in path.parent.glob(f"*/{MANIFEST}"))
    inside = sorted(p.parent.name for p in path.glob(f"*/{MANIFEST}"))
    known = ", ".join(inside or near) or "none"
    raise CheckpointError(f"{path}: no complete checkpoint here. Checkpoints nearby: {known}.")


def checkpoint_at(folder: Path) -> Path | None:
    """Return the folder that holds the checkpoint of this name, or None.

    It is the hidden one next to it between the two renames of a replacement.
    """
    for found in (folder, beside(folder, "previous")):
        if (found / MANIFEST).is_file() and (found == folder or not folder.exists()):
            return found
    return None


def verify_model(folder: Path) -> dict[str, Any]:
    """Check the files of the model, not the training state, and return the manifest.

    Raises:
        CheckpointError: Names the file that is missing or differs, and intact neighbours.
        SetupError: If the system cannot read it.
    """
    try:
        return _verified(folder, without=STATE_FILE)
    except CheckpointError as error:
        raise CheckpointError(f"{error}{_neighbours(folder)}") from error


def verify_checkpoint(folder: Path) -> dict[str, Any]:
    """Check every file against the manifest and return the manifest.

    Raises:
        CheckpointError: Names the file that is missing or differs, and intact neighbours.
        SetupError: If the system cannot read it.
    """
    try:
        return _verified(folder)
    except CheckpointError as error:
        raise CheckpointError(f"{error}{_neighbours(folder)}") from error


def verify_together(folder: Path) -> dict[str, Any]:
    """Check some of the files in each process, and return the manifest; all must call it.

    Raises:
        CheckpointError: In all of them, what any of them has found.
        SetupError: If the system cannot read it.
    """
    own, found = slice(processes.rank(), None, processes.count()), None
    manifest: dict[str, Any] = {}
    try:
        manifest = _verified(folder, own)
    except CheckpointError as error:
        found = str(error)
    first = next((one for one in processes.each(found) if one is not None), None)
    if first is not None:
        raise CheckpointError(f"{first}{_neighbours(folder)}")
    return manifest


def newest_intact(run_folder: Path) -> tuple[Path, list[str]]:
    """Return the checkpoint to go on from, and a warning if it is not ``latest``.

    A damaged ``latest`` is put aside as ``latest.damaged``, and in its place comes the one before;
    if that is damaged too, a kept epoch or the best model of the same run is used.

    Raises:
        CheckpointError: If none is intact, or it is not known which of them are of this run.
        SetupError: If the system cannot read them.
    """
    latest = run_folder / LATEST
    try:
        _verified(find_checkpoint(latest))
        return find_checkpoint(latest), []
    except CheckpointError as error:
        reason = error
    intact = _of_one_run(latest, _others(run_folder), reason)
    chosen = max(intact, key=iteration_of)
    name, iteration = chosen.name, iteration_of(chosen)
    aside, moved = latest.with_name(f"{LATEST}.damaged"), ""
    with writing(aside):
        if latest.exists():
            remove(aside)
            rename(latest, aside)
            moved = f"; the damaged one is {aside} now"
        if chosen == beside(latest, "previous"):
            rename(chosen, latest)
            chosen, name = latest, "the one before it"
    return chosen, [
        f"WARNING: {reason} Going on from {name}, saved at iteration {iteration}{moved}."
    ]


def _of_one_run(latest: Path, others: list[Path], reason: CheckpointError) -> list[Path]:
    """Return those that are intact and of the run whose ``latest`` is damaged."""
    intact = [folder for folder in others if is_intact(folder)]
    if not intact:
        raise CheckpointError(f"{reason} No intact checkpoint is beside it.") from reason
    runs = {folder: _run_of(folder) for folder in intact}
    try:
        own = _run_of(latest)
    except CheckpointError:
        # its manifest is damaged: the one before it tells, or all are of one run
        own = runs.get(beside(latest, "previous"), "")
        if not own and len(set(runs.values())) == 1:
            own = runs[intact[0]]
    found = [folder for folder in intact if runs[folder] == own]
    if not found:
        names = ", ".join(folder.name for folder in intact)
        raise CheckpointError(
            f"{reason} {names} may be of another run, so --resume does not use them; to go on from "
            f"one of them: -o Global.checkpoints={intact[0]}."
        ) from reason
    return found


def _run_of(folder: Path) -> str:
    """Return which run a checkpoint is of; those of earlier versions tell their seed only."""
    manifest = read_manifest(folder)
    return str(manifest.get("run") or f"seed {manifest.get('seed')}")


def has_checkpoints(run_folder: Path) -> bool:
    """Tell whether a run folder holds any checkpoint to go on from, in whatever state."""
    return (run_folder / LATEST).exists() or bool(_others(run_folder))


def is_intact(folder: Path) -> bool:
    """Tell whether a checkpoint is whole and as it was written."""
    try:
        _verified(folder)
    except CheckpointError:
        return False
    return True


def is_at(folder: Path, iteration: int) -> bool:
    """Tell whether there is a checkpoint that was saved at an iteration."""
    try:
        return iteration_of(folder) == iteration
    except CheckpointError:
        return False


def sweep(run_folder: Path) -> list[str]:
    """Remove what killed writes have left in a run folder; return the names.

    Raises:
        SetupError: If one cannot be removed.
    """
    swept = []
    for path in sorted(run_folder.glob(".*")):
        found = _LEFT_BEHIND.fullmatch(path.name)
        if not found:
            continue
        place = run_folder / found[1]
        with writing(path):
            if found[2] == "previous" and not place.exists():
                rename(path, place)
            elif found[2] != "previous" or found[1] != LATEST:
                remove(path)
                swept.append(path.name)
    return swept


def keep_last(run_folder: Path, epoch: int, number: int) -> None:
    """Remove all but the last ``number`` kept epochs up to ``epoch``."""
    epochs = [int(p.name.removeprefix("epoch_")) for p in run_folder.glob("epoch_*")
              if p.name.removeprefix("epoch_").isdecimal()]  # fmt: skip
    for old in sorted(e for e in epochs if e <= epoch)[:-number]:
        folder = run_folder / f"epoch_{old}"
        with writing(folder):
            # never half a checkpoint under its own name
            rename(folder, beside(folder, "removing"))
            remove(beside(folder, "removing"))


def write_manifest(file: BinaryIO, content: Mapping[str, Any]) -> None:
    """Write a manifest whose last entry is the SHA-256 of what stands before it."""
    body = json.dumps(content, indent=1).removesuffix("\n}")
    digest = hashlib.sha256(body.encode()).hexdigest()
    file.write(f'{body}{_OWN_HASH}{digest}"\n}}'.encode())


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what a manifest says.

    Raises:
        CheckpointError: If it is missing, damaged, or of another kind.
        SetupError: If the system cannot read it.
    """
    try:
        with open(folder / MANIFEST, "rb") as file:
            text = file.read(_MOST + 1).decode()
        if len(text) > _MOST:
            raise CheckpointError(f"{folder}: the manifest has more than {_MOST:,} bytes.")
        manifest: dict[str, Any] = json.loads(text)
        format_ = manifest["format"]
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise CheckpointError(f"{folder}: the manifest is missing.") from error
    except OSError as error:
        raise SetupError(f"{folder}: cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{folder}: the manifest cannot be read ({error}).") from error
    body, _, tail = text.rpartition(_OWN_HASH)
    own = f'{hashlib.sha256(body.encode()).hexdigest()}"\n}}'
    if format_ not in (1, FORMAT) or (format_ == FORMAT and tail != own):
        raise CheckpointError(f"{folder}: the manifest is damaged; it is not what was saved.")
    return manifest


def _verified(folder: Path, some: slice = slice(None), without: str = "") -> dict[str, Any]:
    """Check the files, or some of them; return the manifest."""
    manifest = read_manifest(folder)
    try:
        files = {str(name): str(entry["sha256"]) for name, entry in manifest["files"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder}: the manifest cannot be read ({error}).") from error
    for name in (MODEL_FILE, STATE_FILE):
        if name not in files:
            raise CheckpointError(f"{folder}: the manifest does not list {name}.")
    for name, expected in list(files.items())[some]:
        if name == without:
            continue
        path = folder / name
        if Path(name).name != name or not path.is_file():
            raise CheckpointError(f"{folder}: {name} is missing.")
        try:
            found = file_sha256(path)
        except OSError as error:
            raise SetupError(f"{path}: cannot be read ({error.strerror}).") from error
        if found != expected:
            raise CheckpointError(f"{path}: damaged; it is not what was saved (SHA-256 differs).")
    return manifest


def _others(run_folder: Path) -> list[Path]:
    """Return what a run can go on from besides ``latest``; the one before it comes first."""
    names = re.compile(rf"{BEST}|epoch_\d+|\.{LATEST}\.previous")
    return sorted(path for path in run_folder.glob("*") if names.fullmatch(path.name))


def iteration_of(folder: Path) -> int:
    """Return the iteration at which a checkpoint was saved, -1 if it does not tell.

    Raises:
        CheckpointError: If its manifest is missing or damaged.
    """
    found = read_manifest(folder).get("iteration")
    return found if isinstance(found, int) else -1


def _neighbours(folder: Path) -> str:
    found = [p.parent for p in sorted(folder.parent.glob(f"*/{MANIFEST}")) if p.parent != folder]
    names = [str(neighbour) for neighbour in found if is_intact(neighbour)]
    return f" Intact ones: {', '.join(names)}." if names else " No other checkpoint is beside it."
