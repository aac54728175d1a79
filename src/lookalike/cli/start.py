"""Where a training run starts, and what becomes of the run that its folder holds already."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lookalike.assembly.load import Run
from lookalike.assembly.resume_reference import reference_run
from lookalike.errors import CheckpointError, ConfigError
from lookalike.training import RunLog
from lookalike.training.intact import find_checkpoint, has_checkpoints, newest_intact, sweep
from lookalike.training.run_folder import (
    begun_by_this_launch,
    checkpoints_in,
    described,
    farther,
    files_of_run,
    put_records_aside,
    remove_all,
)


@dataclass(frozen=True)
class Start:
    """How a run starts.

    Attributes:
        source: The checkpoint to go on from; None starts anew.
        notes: For the log.
        removed: What is removed of the run that the folder holds, once the new one is built.
        anew: Nothing of the folder is gone on with.
    """

    source: str | None
    notes: Sequence[str] = ()
    removed: Sequence[Path] = ()
    anew: bool = False

    def take_over(self, folder: Path, log: RunLog) -> None:
        """Make the folder the one of this run."""
        remove_all(folder, self.removed)
        aside = put_records_aside(folder) if self.anew else []
        if aside:
            log.line(
                "note: an earlier run has left no checkpoint here; its logs are now "
                f"{', '.join(f'{name}.old' for name in aside)}"
            )


def how_to_start(run: Run, *, resume: bool, or_start: bool, overwrite: bool) -> Start:
    """Decide by what a run folder holds and what was asked for.

    Args:
        run: The configuration.
        resume: Go on from the run folder's latest checkpoint.
        or_start: With ``resume``: start if there is none yet.
        overwrite: Remove the run that is there.

    Raises:
        ConfigError: If the folder holds a run, and it is not said what becomes of it.
        CheckpointError: If there is no intact checkpoint to go on from.
    """
    folder = Path(run.config.Global.output_dir)
    # first of all: a kill between two renames leaves ``latest`` under another name
    notes = [f"note: removed {name}, which a killed run had left half written"
             for name in sweep(folder)]  # fmt: skip
    source = run.config.Global.checkpoints
    if overwrite and _started_again() and begun_by_this_launch(folder):
        # the run that was there has been removed by the first start
        resume, or_start, overwrite = True, True, False
    if resume and has_checkpoints(folder) and (source is None or or_start):
        if source is not None and not _is_in(source, folder):
            notes.append(f"note: going on from {folder}, not from Global.checkpoints again")
            source = None
        if source is None:
            return _resumed(folder, notes)
    if source is None:
        if resume and not or_start:
            return _resumed(folder, notes)
        removed = _given_up(run, checkpoints_in(folder), overwrite)
        return Start(None, notes, files_of_run(folder) if removed else (), anew=True)
    if reference_run(source) is None:
        found = find_checkpoint(Path(source))
        if _is_in(source, folder):
            return Start(source, notes, _given_up(run, farther(folder, found), overwrite))
    removed = _given_up(run, checkpoints_in(folder), overwrite)
    return Start(source, notes, files_of_run(folder) if removed else (), anew=True)


def _given_up(run: Run, lost: list[Path], overwrite: bool) -> list[Path]:
    """Return the checkpoints that a run would overwrite, if that is wanted."""
    if lost and not overwrite:
        folder, source = run.config.Global.output_dir, run.config.Global.checkpoints
        names = ", ".join(path.name for path in lost if not path.name.startswith("."))
        what = f"holds {described(Path(folder))} ({names or lost[0].name})"
        if source is not None and _is_in(source, Path(folder)):
            what = f"holds checkpoints that were saved after {source} ({names or lost[0].name})"
        raise ConfigError(
            [
                run.document.problem(
                    ("Global", "output_dir"),
                    f"{folder} {what}. Go on with it (--resume), replace it (--overwrite), or "
                    "give another folder (-o Global.output_dir=...).",
                )
            ]
        )
    return lost


def _resumed(folder: Path, notes: list[str]) -> Start:
    try:
        chosen, warnings = newest_intact(folder)
    except CheckpointError as error:
        raise CheckpointError(
            f"{error} Without --resume the run starts anew, if the folder is empty or with "
            "--overwrite."
        ) from error
    return Start(str(chosen), [*notes, *warnings])


def _is_in(source: str, folder: Path) -> bool:
    own = folder.resolve()
    return Path(source).resolve() in (own, *own.glob("*"), *own.glob(".*"))


def _started_again() -> bool:
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
