"""What a run does when it fails: save what it has, say where that is, and say what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lookalike import processes
from lookalike.errors import CheckpointError, Interrupted, LookalikeError, SetupError
from lookalike.models.recompute import RecomputedForward
from lookalike.place import here
from lookalike.training.intact import MANIFEST
from lookalike.training.piecewise import PiecewiseUpdate

if TYPE_CHECKING:
    from lookalike.training.trainer import Trainer


@contextmanager
def failures_told(trainer: Trainer) -> Iterator[None]:
    """Add to the error of a run which checkpoint it can go on from; let the doctor conclude.

    Raises:
        SetupError: In place of the error of an allocator that has no memory left.
    """
    saved = _Saved(trainer.folder, trainer.iteration)
    try:
        yield
    except (Interrupted, CheckpointError):
        raise
    except LookalikeError as error:
        error.args = (f"{error} {saved.newest()}",)
        raise
    except Exception as error:
        newest = saved.newest()
        if _is_out_of_memory(error):
            raise SetupError(f"{_out_of_memory(trainer, error)} {newest}") from error
        with suppress(LookalikeError):
            trainer.log.line(f"Failed in step {trainer.iteration}. {newest}")
        raise
    finally:
        with suppress(LookalikeError):
            trainer.doctor.conclude()


def saved_before_failing(trainer: Trainer) -> Iterator[Any]:
    """Yield the batches of a run from where it is; if one does not come, save the run as it is.

    It is between two steps then, so a resumed run is the uninterrupted one. What fails within a
    step leaves gradients and statistics half moved, and is not saved.
    """
    try:
        yield from trainer.batches.start(trainer.iteration, trainer.plan)
    except LookalikeError:
        whole = trainer.iteration and trainer.iteration % trainer.update.accumulate == 0
        # several processes save together, and the others know of no error
        if whole and processes.count() == 1:
            # the first error is the one to tell
            with suppress(LookalikeError):
                trainer._save_latest()
        raise


class _Saved:
    """The checkpoints of a run, in a folder that may hold those of an earlier one.

    Args:
        folder: The run folder.
        start: The step the run goes on from; 0 is a new run.
    """

    def __init__(self, folder: Path, start: int) -> None:
        self.folder, self.start = folder, start
        self.before = set(self._found())

    def newest(self) -> str:
        """Say which checkpoint was saved last."""
        own = [one for one in self._found() if one not in self.before or one[0] == self.start > 0]
        if not own:
            return "No checkpoint has been saved yet."
        step, _, _, newest = max(own)
        return f"The last good checkpoint is {newest}, of step {step:,}; --resume goes on from it."

    def _found(self) -> Iterator[tuple[int, bool, int, Path]]:
        for manifest in self.folder.glob(f"[!.]*/{MANIFEST}"):
            with suppress(OSError, ValueError, KeyError, TypeError):
                step = int(json.loads(manifest.read_text(encoding="utf-8"))["iteration"])
                folder = manifest.parent
                # of copies "latest", which --resume takes
                yield step, folder.name == "latest", manifest.stat().st_mtime_ns, folder


def _is_out_of_memory(error: Exception) -> bool:
    # torch has no class of its own for the memory of the CPU
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def _out_of_memory(trainer: Trainer, error: Exception) -> str:
    if here.phase == "evaluating":
        return (
            f"{trainer.device} is out of memory in the evaluation after step {trainer.iteration} "
            f"({' '.join(str(error).split())[:160]}). A smaller sampler.batch_size in "
            "DataLoader.Eval takes less and gives the same result."
        )
    update, sampler = trainer.update, getattr(trainer.batches, "sampler", None)
    size = getattr(sampler, "batch_size", None)
    piece = update.piece if isinstance(update, PiecewiseUpdate) else None
    smaller = 16 if piece is None else max(1, piece // 2)
    advice = [f"Global.micro_batch_size: {smaller} (keeps the batch, and every pair in it)"]
    forwards = (vars(module).get("forward") for module in update.model.modules())
    if not any(isinstance(forward, RecomputedForward) for forward in forwards):
        advice.append("Global.activation_checkpointing: True")
    if not update.precision.enabled:
        advice.append("the section AMP: {}")
    now = "" if size is None else f" with batch_size {size}"
    now += "" if piece is None else f" and micro_batch_size {piece}"
    return (
        f"{trainer.device} is out of memory in step {trainer.iteration}{now} "
        f"({' '.join(str(error).split())[:160]}). What takes less, without another result first: "
        f"{'; '.join(advice)}; a smaller batch_size; smaller images."
    )
