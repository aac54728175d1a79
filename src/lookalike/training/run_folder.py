"""A run folder belongs to one run: which one trains there, what it holds, what replaces it."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from lookalike.durable import held_lock, remove, rename, sync
from lookalike.errors import CheckpointError, SetupError, writing
from lookalike.training.intact import BEST, LATEST, MANIFEST, iteration_of, read_manifest

_LOCK = ".lock"
_CHECKPOINTS = re.compile(rf"\.?({LATEST}|{BEST}|{BEST}_ema|epoch_\d+)(\.\w+)?")
# what a run writes besides; "*" are the files of dashboards
_RECORDS = ("train.log", "metrics.jsonl", "diverged.json")
_OTHERS = ("resolved.yaml", "quarantine.tsv", "hang_process_*.txt", "tensorboard/*", "vdl/*")


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Keep other runs out of a run folder during the block; the end of the process ends it too.

    Raises:
        SetupError: If another run is training there, or the folder cannot be written.
    """
    path = folder / _LOCK
    while True:
        with writing(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        with held_lock(descriptor) as ours:
            if ours is False:
                raise SetupError(
                    f"{folder}: another run is training there: {_who(descriptor)}. Two runs would "
                    "overwrite each other's checkpoints; give this one another Global.output_dir."
                )
            if not _is(path, descriptor):
                continue
            with writing(path):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, _myself().encode())
            try:
                yield
            finally:
                with suppress(OSError):
                    path.unlink()
                    folder.rmdir()  # if nothing else was written
            return


def _myself() -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {socket.gethostname()}, since {since}"


def _is(path: Path, descriptor: int) -> bool:
    """Tell whether a file still has its name: the run before removes it when it ends."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _who(descriptor: int) -> str:
    text = os.pread(descriptor, 500, 0).decode("utf-8", "backslashreplace")
    return text or "one that has just been started"


def new_run_id() -> str:
    """Return what tells the checkpoints of a run from those of others.

    That of the launch, if there is one: a run that is started again knows it by that.
    """
    launch = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    return uuid4().hex if launch == "none" else launch


def begun_by_this_launch(folder: Path) -> bool:
    """Tell whether the run in a folder was begun by the launcher that started this process."""
    with suppress(CheckpointError, SetupError):
        return read_manifest(folder / LATEST).get("run") == new_run_id()
    return False


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the checkpoints in a run folder, in whatever state, by name."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [one for one in found if _CHECKPOINTS.fullmatch(one.name)]


def described(folder: Path) -> str:
    """Say how far the run in a folder is, such as ``a run of epoch 2``."""
    for path in [folder / LATEST, *checkpoints_in(folder)]:
        with suppress(OSError, ValueError, KeyError, TypeError):
            manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
            return f"a run of epoch {int(manifest['epoch'])}, iteration {manifest['iteration']:,}"
    return "a run"


def farther(folder: Path, source: Path) -> list[Path]:
    """Return the checkpoints in a folder that were saved after another one there."""
    reached = iteration_of(source)
    return [
        path
        for path in checkpoints_in(folder)
        if (path / MANIFEST).is_file() and _iteration(path) > reached
    ]


def _iteration(path: Path) -> int:
    try:
        return iteration_of(path)
    except CheckpointError:
        return -1


def files_of_run(folder: Path) -> list[Path]:
    """Return the checkpoints of the run in a folder, and the other files that a run writes."""
    others = [path for name in (*_RECORDS, *_OTHERS) for path in sorted(folder.glob(name))]
    return [*checkpoints_in(folder), *others]


def put_records_aside(folder: Path) -> list[str]:
    """Rename the logs of a run that has left no checkpoint; return their names."""
    if not (folder / "train.log").is_file():
        return []
    found = [folder / name for name in _RECORDS if (folder / name).is_file()]
    for path in found:
        with writing(path):
            rename(path, path.with_name(f"{path.name}.old"))
    return [path.name for path in found]


def remove_all(folder: Path, paths: Sequence[Path]) -> None:
    """Remove files and checkpoints of a run.

    Raises:
        SetupError: If one cannot be removed.
    """
    for path in paths:
        with writing(path):
            found = _CHECKPOINTS.fullmatch(path.name)
            aside = path if found is None else folder / f".{found[1]}.removing"
            if path != aside:
                # never half a checkpoint under its own name
                remove(aside)
                rename(path, aside)
            remove(aside)
    if paths:
        sync(folder)
