"""Where a run is: what of it is saved beside the model, and how it is put back there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from lookalike.errors import CheckpointError
from lookalike.training.best import Best
from lookalike.training.checkpoint import Checkpoint, copy_checkpoint, save_checkpoint
from lookalike.training.intact import BEST, LATEST, keep_last
from lookalike.training.random_state import random_state, restore_random_state

if TYPE_CHECKING:
    from lookalike.training.trainer import Trainer


def state_of(trainer: Trainer) -> dict[str, Any]:
    """Return everything but the model that the rest of a run depends on."""
    return {
        "iteration": trainer.iteration,
        "iterations_per_epoch": trainer.iterations_per_epoch,
        "best": [trainer.best.score, trainer.best.epoch],
        "best_averaged": [trainer.best_averaged.score, trainer.best_averaged.epoch],
        "last_metrics": trainer.last_metrics,
        "averages": trainer.averages.state_dict(),
        "update": trainer.update.state_dict(),
        "random": random_state(),
        # the restored one until the stream has moved
        "plan": trainer.plan or trainer.batches.plan_of(trainer.iteration),
    }


def save(
    trainer: Trainer,
    name: str,
    model: nn.Module,
    metrics: Mapping[str, float] | None = None,
    best: Best | None = None,
    state: Mapping[str, Any] | None = None,
) -> None:
    """Save a checkpoint in the run folder.

    Args:
        trainer: Whose run it is.
        name: Of the checkpoint.
        model: The trained model or its average.
        metrics: Of that model; None means the last evaluation.
        best: Of that model; None means the trained one's.
        state: What to save as the state, if it is not that of this moment.
    """
    best = best or trainer.best
    facts = {
        "epoch": trainer.iteration // trainer.iterations_per_epoch,
        "iteration": trainer.iteration,
        "metrics": dict(metrics or trainer.last_metrics),
        "best": best.score,
        "best_epoch": best.epoch,
        **trainer.facts,
    }
    save_checkpoint(
        trainer.folder / name,
        model=model.state_dict(),
        state=state_of(trainer) if state is None else state,
        facts=facts,
        documents=None if trainer.documents is None else trainer.documents(facts),
        keep_previous=name == LATEST,
    )


def copy_latest(trainer: Trainer, epoch: int) -> None:
    """Keep ``latest`` under the other names that are due at the end of an epoch."""
    latest = trainer.folder / LATEST
    if trainer.save_every > 0 and epoch % trainer.save_every == 0:
        copy_checkpoint(latest, trainer.folder / f"epoch_{epoch}")
        if trainer.keep is not None:
            keep_last(trainer.folder, epoch, trainer.keep)
    if trainer.best.score is not None and trainer.best.epoch == epoch:
        copy_checkpoint(latest, trainer.folder / BEST)


def restore(trainer: Trainer, checkpoint: Checkpoint) -> None:
    """Put a training loop where a checkpoint was saved.

    Raises:
        CheckpointError: If it was saved by a run of another shape.
    """
    state = checkpoint.state
    if state["iterations_per_epoch"] != trainer.iterations_per_epoch:
        raise CheckpointError(
            f"{checkpoint.folder}: saved by a run with {state['iterations_per_epoch']} batches "
            f"per epoch, this one has {trainer.iterations_per_epoch}; the data list, the batch "
            "size or the sampler has changed. To start anew from its weights, use "
            "Global.pretrained_model instead of Global.checkpoints."
        )
    try:
        trainer.update.model.load_state_dict(checkpoint.model)
        trainer.update.load_state_dict(state["update"])
    except (RuntimeError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{checkpoint.folder}: made for another model, loss or optimiser. "
            f"{' '.join(str(error).split())[:300]}"
        ) from error
    trainer.iteration, trainer.plan = state["iteration"], state.get("plan")
    trainer.evaluation_due = bool(state.get("evaluation_due"))
    trainer.best, trainer.best_averaged = Best(*state["best"]), Best(*state["best_averaged"])
    trainer.last_metrics = dict(state["last_metrics"])
    trainer.averages.load_state_dict(state["averages"])
    restore_random_state(state["random"])
