"""States of which every process has some rows: put together to be saved, cut to go on.

A checkpoint holds the whole, so a run may go on in another number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from lookalike import processes
from lookalike.errors import CheckpointError
from lookalike.models.sharded import Rows, sharded_parameters, stepped_parameters
from lookalike.training.fully_sharded import as_shards
from lookalike.training.update import Update

Change = Callable[[Tensor, Rows], Tensor]


def whole_model(model: nn.Module) -> dict[str, Tensor]:
    """Return the state of a model with the rows of all processes, in the first one."""
    return _model(model.state_dict() | getattr(model, "own_rows", {}), model, _whole)


def own_model(model: nn.Module, whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what this process has of a whole state.

    Raises:
        CheckpointError: If it is that of another number of classes.
    """
    return as_shards(model, _model(whole, model, _own))


def replicated(model: nn.Module) -> dict[str, Tensor]:
    """Return what of a model's state every process has whole."""
    sharded = sharded_parameters(model)
    return {key: tensor for key, tensor in model.state_dict().items() if key not in sharded}


def whole_update(update: Update) -> dict[str, Any]:
    """Return the state of an update with the rows of all processes, in the first one."""
    return _update(update.state_dict(), update, _whole)


def own_update(update: Update, whole: Mapping[str, Any]) -> dict[str, Any]:
    """Return what this process has of a whole state."""
    return _update(whole, update, _own)


def _whole(own: Tensor, rows: Rows) -> Tensor:
    found = processes.rows_at_first(own)
    return own if found is None else found


def _own(whole: Tensor, rows: Rows) -> Tensor:
    if len(whole) != rows.total:
        raise CheckpointError(
            f"a table of {len(whole)} rows, one for each class, is dealt to the processes; this "
            f"run's has {rows.total}. The number of classes has changed."
        )
    return whole[rows.start : rows.stop].clone()


def _model(state: Mapping[str, Tensor], model: nn.Module, change: Change) -> dict[str, Tensor]:
    sharded = sharded_parameters(model)
    return {k: change(t, sharded[k]) if k in sharded else t for k, t in state.items()}


def _update(state: Mapping[str, Any], update: Update, change: Change) -> dict[str, Any]:
    found = dict(state)
    if found["averaged"] is not None and update.averaged is not None:
        found["averaged"] = _model(found["averaged"], update.averaged, change)
    sharded = sharded_parameters(update.model)
    parameters = stepped_parameters(update.model)
    rows = {id(parameters[name]): own for name, own in sharded.items()}
    found["optimizers"] = [
        {**one, "optimizer": _optimizer(one["optimizer"], scheduled.optimizer, rows, change)}
        for one, scheduled in zip(found["optimizers"], update.optimizers, strict=True)
    ]
    return found


def _optimizer(
    state: Mapping[str, Any], optimizer: Any, rows: Mapping[int, Rows], change: Change
) -> dict[str, Any]:
    """Change what an optimiser keeps for each row of a sharded parameter."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    kept = dict(state["state"])
    for index, parameter in enumerate(parameters):
        own = rows.get(id(parameter))
        if own is None or index not in kept:
            continue
        kept[index] = {
            key: change(value, own) if isinstance(value, Tensor) and value.ndim else value
            for key, value in kept[index].items()
        }
    return {**state, "state": kept}
