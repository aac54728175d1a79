"""States of which every process has some rows: taken apart to be saved, cut to go on.

A checkpoint holds the whole, by rows where several processes have saved them, so a run may go on
in another number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from lookalike.models.sharded import Rows, sharded_parameters, stepped_parameters
from lookalike.models.tables import MODEL, Part, table_name
from lookalike.training.checkpoint import Checkpoint
from lookalike.training.fully_sharded import as_shards
from lookalike.training.stand_ins import stand_in, table_of
from lookalike.training.update import Update

Change = Callable[[Any, Rows, str], Any]


def replicated(model: nn.Module) -> dict[str, Tensor]:
    """Return what of a model's state every process has whole."""
    sharded = sharded_parameters(model)
    return {key: tensor for key, tensor in model.state_dict().items() if key not in sharded}


def taken_apart(
    model: nn.Module, update: Update, state: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Part]]:
    """Return a model's state, an update's, and the tables that neither holds any more.

    Args:
        model: The trained model or its average.
        update: Of the run.
        state: What the update's ``state_dict`` returned.
    """
    tables: dict[str, Part] = {}
    taken: dict[tuple[int, Rows], str] = {}

    def take(own: Tensor, rows: Rows, name: str) -> dict[str, str]:
        # an average that is saved as the model is in the state as well
        first = taken.setdefault((own.data_ptr(), rows), name) if rows.stop > rows.start else name
        tables.setdefault(first, Part(own, rows))
        return stand_in(first)

    rest = _model(model.state_dict() | getattr(model, "own_rows", {}), model, MODEL, take)
    return rest, _update(state, update, take), tables


def own_model(model: nn.Module, whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what this process has of a whole state of a model.

    Raises:
        CheckpointError: If it is that of another number of classes.
    """
    return as_shards(model, _model(whole, model, MODEL, _Cut()))


def saved_model(model: nn.Module, checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Return what this process has of the model's state in a checkpoint.

    Raises:
        CheckpointError: If it is that of another number of classes.
    """
    cut = _Cut()
    own = _model(checkpoint.model, model, MODEL, cut)
    return as_shards(model, checkpoint.with_tables(own, cut.wanted))


def saved_update(update: Update, checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what this process has of the update's state in a checkpoint.

    Raises:
        CheckpointError: If it is that of another number of classes.
    """
    cut = _Cut()
    own = _update(checkpoint.state["update"], update, cut)
    if update.averaged is None:
        own["averaged"] = None  # and nobody reads its tables
    found: dict[str, Any] = checkpoint.with_tables(own, cut.wanted)
    return found


class _Cut:
    """Cut what was saved whole, and note which rows are wanted of what lies on the disk."""

    def __init__(self) -> None:
        self.wanted: dict[str, Rows] = {}

    def __call__(self, saved: Any, rows: Rows, name: str) -> Any:
        if isinstance(saved, Tensor):
            rows.check(len(saved))
            return saved[rows.start : rows.stop]
        self.wanted[name] = rows
        return saved


def _model(state: Mapping[str, Any], model: nn.Module, what: str, change: Change) -> dict[str, Any]:
    sharded = sharded_parameters(model)
    return {
        key: change(tensor, sharded[key], table_name(what, key)) if key in sharded else tensor
        for key, tensor in state.items()
    }


def _update(state: Mapping[str, Any], update: Update, change: Change) -> dict[str, Any]:
    found = dict(state)
    if found["averaged"] is not None and update.averaged is not None:
        found["averaged"] = _model(found["averaged"], update.averaged, "averaged", change)
    sharded = sharded_parameters(update.model)
    parameters = stepped_parameters(update.model)
    rows = {id(parameters[name]): own for name, own in sharded.items()}
    pairs = zip(found["optimizers"], update.optimizers, strict=True)
    found["optimizers"] = [
        {
            **one,
            "optimizer": _optimizer(one["optimizer"], scheduled.optimizer, number, rows, change),
        }
        for number, (one, scheduled) in enumerate(pairs)
    ]
    return found


def _optimizer(
    state: Mapping[str, Any],
    optimizer: Any,
    number: int,
    rows: Mapping[int, Rows],
    change: Change,
) -> dict[str, Any]:
    """Change what an optimiser keeps for each row of a sharded parameter."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    kept = dict(state["state"])
    for index, parameter in enumerate(parameters):
        own = rows.get(id(parameter))
        if own is None or index not in kept:
            continue
        kept[index] = {
            key: change(value, own, table_name("optimizer", number, index, key))
            if _has_rows(value)
            else value
            for key, value in kept[index].items()
        }
    return {**state, "state": kept}


def _has_rows(value: Any) -> bool:
    """Tell whether something is kept for each row, here or on the disk: not so a count of steps."""
    return value.ndim > 0 if isinstance(value, Tensor) else table_of(value) is not None
