"""Where a run is: what of it is saved beside the model, and how it is put back there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from lookalike import processes
from lookalike.errors import CheckpointError
from lookalike.place import at
from lookalike.training.best import Best
from lookalike.training.checkpoint import Checkpoint, copy_checkpoint, save_checkpoint
from lookalike.training.evaluated import add_evaluation
from lookalike.training.intact import BEST, LATEST, keep_last
from lookalike.training.random_state import random_state, restore_random_state
from lookalike.training.saved_numbers import check_module, check_update
from lookalike.training.sharded_state import saved_model, saved_update, taken_apart

if TYPE_CHECKING:
    from lookalike.training.trainer import Trainer


def state_of(trainer: Trainer) -> dict[str, Any]:
    """Return everything but the model that the rest of a run depends on, as this process has it."""
    return {
        "iteration": trainer.iteration,
        "iterations_per_epoch": trainer.iterations_per_epoch,
        "best": [trainer.best.score, trainer.best.epoch],
        "best_averaged": [trainer.best_averaged.score, trainer.best_averaged.epoch],
        "last_metrics": trainer.last_metrics,
        "averages": trainer.averages.state_of_all(),
        "update": trainer.update.state_dict(),
        "random": processes.each(random_state()),
        # the restored one until the stream has moved
        "plan": trainer.plan or trainer.batches.plan_of(trainer.iteration),
        "processes": processes.count(),
        "batch_size": _batch_size(trainer),
    }


def save(
    trainer: Trainer,
    name: str,
    model: nn.Module,
    metrics: Mapping[str, float] | None = None,
    best: Best | None = None,
    state: Mapping[str, Any] | None = None,
) -> None:
    """Save a checkpoint in the run folder; every process of the run must call it.

    Args:
        trainer: Whose run it is.
        name: Of the checkpoint.
        model: The trained model or its average.
        metrics: Of that model; None means the last evaluation.
        best: Of that model; None means the trained one's.
        state: What to save as the state, if it is not that of this moment.
    """
    at("saving")
    state = state_of(trainer) if state is None else state
    tensors, update, tables = taken_apart(model, trainer.update, state["update"])
    facts = _facts(trainer, metrics or trainer.last_metrics, best or trainer.best)
    writes = processes.rank() == 0  # the others write rows only
    save_checkpoint(
        trainer.folder / name,
        model={key: one for key, one in tensors.items() if isinstance(one, Tensor)},
        state={**state, "update": update},
        facts=facts,
        documents=trainer.documents(facts) if writes and trainer.documents is not None else None,
        keep_previous=name == LATEST,
        tables=tables,
    )
    processes.meet()


def save_evaluation(trainer: Trainer) -> None:
    """Add an evaluation to ``latest``, saved just before; every process of the run must call it."""
    at("saving")
    state = state_of(trainer)
    if processes.rank() == 0:
        facts = _facts(trainer, trainer.last_metrics, trainer.best)
        add_evaluation(
            trainer.folder / LATEST,
            state=state,
            facts=facts,
            documents=trainer.documents(facts) if trainer.documents is not None else None,
        )
    processes.meet()


def _facts(trainer: Trainer, metrics: Mapping[str, float], best: Best) -> dict[str, Any]:
    return {
        "epoch": trainer.iteration // trainer.iterations_per_epoch,
        "iteration": trainer.iteration,
        "metrics": dict(metrics),
        "best": best.score,
        "best_epoch": best.epoch,
        "run": trainer.run_id,
        **trainer.facts,
    }


def copy_latest(trainer: Trainer, epoch: int) -> None:
    """Keep ``latest`` under the other names that are due at the end of an epoch."""
    if processes.rank() > 0:
        return
    latest = trainer.folder / LATEST
    if trainer.save_every > 0 and epoch % trainer.save_every == 0:
        copy_checkpoint(latest, trainer.folder / f"epoch_{epoch}")
        if trainer.keep is not None:
            keep_last(trainer.folder, epoch, trainer.keep)
    if trainer.best.score is not None and trainer.best.epoch == epoch:
        copy_checkpoint(latest, trainer.folder / BEST)


def restore(trainer: Trainer, checkpoint: Checkpoint) -> None:
    """Put a training loop where a checkpoint was saved, by as many processes or others.

    Raises:
        CheckpointError: If it was saved by a run of another shape, or was not written by this
            program.
    """
    try:
        _restore(trainer, checkpoint)
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{checkpoint.folder}: made for another model, loss or optimiser, or not written by "
            f"this program. {' '.join(f'{type(error).__name__}: {error}'.split())[:300]}"
        ) from error


def _restore(trainer: Trainer, checkpoint: Checkpoint) -> None:
    state = checkpoint.state
    others = state.get("processes", 1) != processes.count()
    if state["iterations_per_epoch"] != trainer.iterations_per_epoch and not others:
        raise CheckpointError(
            f"{checkpoint.folder}: saved by a run with {state['iterations_per_epoch']} batches "
            f"per epoch, this one has {trainer.iterations_per_epoch}; the data list, the batch "
            "size or the sampler has changed. To start anew from its weights, use "
            "Global.pretrained_model instead of Global.checkpoints."
        )
    # one after the other, so that one of them is held beside what the run has
    _restore_model(trainer, checkpoint)
    _restore_update(trainer, checkpoint)
    trainer.iteration, trainer.plan = _place(trainer, state)
    trainer.evaluation_due = bool(state.get("evaluation_due"))
    trainer.best, trainer.best_averaged = Best(*state["best"]), Best(*state["best_averaged"])
    trainer.last_metrics = dict(state["last_metrics"])
    trainer.run_id = str(checkpoint.facts.get("run") or trainer.run_id)
    trainer.averages.load_state_dict(state["averages"])
    streams = state["random"]
    if not isinstance(streams, list):
        streams = [streams]  # as it was saved before there were several
    if processes.rank() < len(streams):
        restore_random_state(streams[processes.rank()])


def _restore_model(trainer: Trainer, checkpoint: Checkpoint) -> None:
    model = trainer.update.model
    saved = saved_model(model, checkpoint)
    check_module(model, saved, str(checkpoint.folder))
    model.load_state_dict(saved)


def _restore_update(trainer: Trainer, checkpoint: Checkpoint) -> None:
    saved = saved_update(trainer.update, checkpoint)
    check_update(trainer.update, saved, str(checkpoint.folder))
    trainer.update.load_state_dict(saved)


def _place(trainer: Trainer, state: Mapping[str, Any]) -> tuple[int, Any]:
    """Return the iteration to go on with, and the plan it is in.

    With another number of processes a batch may have another size. The run goes on after the same
    share of the epoch, and leaves out as many images of the plan as have been seen.
    """
    iteration, plan = state["iteration"], state.get("plan")
    before, now = state["iterations_per_epoch"], trainer.iterations_per_epoch
    if state.get("processes", 1) == processes.count() or plan is None:
        return iteration, plan
    epoch, rest = divmod(iteration, before)
    place = epoch * now + rest * now // before
    place -= place % trainer.update.accumulate  # gradients of half a step were not saved
    number, first = plan
    size = _batch_size(trainer)
    seen = (iteration - first) * state.get("batch_size", size // processes.count()) // size
    return place, (number, place - seen)


def _batch_size(trainer: Trainer) -> int:
    """Return the images of a batch, of all processes; 1 where nobody plans them."""
    return int(getattr(getattr(trainer.batches, "sampler", None), "batch_size", 1))
