"""Dashboards a run can write to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lookalike.errors import SetupError
from lookalike.training.run_log import Tracker


def open_tracker(
    folder: Path, *, visualdl: bool, tensorboard: bool, notes: list[str]
) -> Tracker | None:
    """Return a writer into the run folder, or None if none is wanted.

    VisualDL is written where its package is installed; otherwise its place is taken by
    TensorBoard, with a note.

    Raises:
        SetupError: If TensorBoard is asked for and not installed.
    """
    if visualdl:
        try:
            from visualdl import LogWriter
        except ImportError:
            notes.append("use_visualdl: VisualDL is not installed; writing TensorBoard logs.")
            tensorboard = True
        else:
            try:
                return _VisualDL(LogWriter(logdir=str(folder / "vdl")))
            except OSError as error:
                notes.append(
                    f"WARNING: VisualDL logs cannot be written ({error}); going on without."
                )
                return None
    if not tensorboard:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        if visualdl:
            notes.append(
                "TensorBoard is not installed either: pip install 'lookalike[tensorboard]'"
            )
            return None
        raise SetupError(
            "Global.use_tensorboard needs the package: pip install 'lookalike[tensorboard]'"
        ) from error
    try:
        writer: Tracker = SummaryWriter(log_dir=str(folder / "tensorboard"))
    except OSError as error:
        notes.append(f"WARNING: TensorBoard logs cannot be written ({error}); going on without.")
        return None
    return writer


class _VisualDL:
    """VisualDL's writer with the argument order of the others."""

    def __init__(self, writer: Any) -> None:
        self.writer = writer

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.writer.add_scalar(tag=tag, value=value, step=step)

    def close(self) -> None:
        self.writer.close()
