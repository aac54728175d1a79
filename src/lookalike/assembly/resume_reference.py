"""Going on with a run that the reference began: weights, optimisers, epoch and best metric."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lookalike.assembly.dialect import (
    read_optimizers,
    read_progress,
    reference_file,
    to_our_layout,
)
from lookalike.assembly.distillation import BuiltModels
from lookalike.assembly.weight_files import ReferenceModel, read_reference_model
from lookalike.errors import CheckpointError
from lookalike.models.loading import load_state
from lookalike.models.sharded import sharded_parameters
from lookalike.models.weight_numbers import bad_numbers, other_kind
from lookalike.optim import ScheduledOptimizer
from lookalike.optim.rms_prop import RMSProp
from lookalike.training import Trainer
from lookalike.training.best import Best

Slots = Mapping[str, Any]


def reference_run(source: str) -> Path | None:
    """Return the weight file of a checkpoint of the reference, if the path means one.

    Raises:
        CheckpointError: If the files to go on from are not beside it.
    """
    path = reference_file(source)
    if path is None:
        return None
    missing = [s for s in (".pdopt", ".pdstates") if not path.with_suffix(s).is_file()]
    if missing:
        raise CheckpointError(
            f"{path}: {' and '.join(path.stem + s for s in missing)} must be beside it to go on "
            "from; for the weights alone use Global.pretrained_model."
        )
    return path


def resume_reference(trainer: Trainer, built: BuiltModels, path: Path) -> list[str]:
    """Put a training loop where a run of the reference was; return what a user should know.

    Raises:
        CheckpointError: If a file is damaged, or was made for another model, loss or optimiser.
    """
    if sharded_parameters(trainer.update.model):
        raise CheckpointError(
            f"{path}: a run of the reference goes on with a head that every process has whole; "
            "leave out sharded, or start from its weights with Global.pretrained_model."
        )
    found = read_reference_model(path, built.receivers)
    progress = read_progress(path.with_suffix(".pdstates"))
    report = load_state(trainer.update.model, found.tensors, source=str(path))
    notes = [str(report), *_load_losses(trainer.update.loss, found, path)]
    states = read_optimizers(path.with_suffix(".pdopt"))
    optimizers = trainer.update.optimizers
    if len(states) != len(optimizers):
        raise CheckpointError(
            f"{path.with_suffix('.pdopt')}: the state of {len(states)} optimisers; this run has "
            f"{len(optimizers)}."
        )
    trainer.iteration = progress.epoch * trainer.iterations_per_epoch
    step = trainer.iteration // trainer.update.accumulate
    keys = dict(_parameters(trainer))
    for optimizer, state in zip(optimizers, states, strict=True):
        _load_optimizer(optimizer, state.slots, keys, found.names, path)
        rate = optimizer.learning_rate(step)
        if state.last_rate is not None and not math.isclose(rate, state.last_rate, rel_tol=1e-4):
            notes.append(
                f"{optimizer.name}: the reference would go on with learning rate "
                f"{state.last_rate:g}, this run does with {rate:g}; batches per epoch or the "
                "schedule differ."
            )
    trainer.best = _best(path, progress.metric, progress.epoch)
    trainer.update.restart_average()
    notes.append("the reference saves no random state: augmentations and batches begin anew.")
    return notes


def _best(path: Path, metric: float | None, epoch: int) -> Best:
    """Return the best metric so far: that of the best model beside the checkpoint."""
    best = path.with_name("best_model.pdstates")
    if best.is_file():
        found = read_progress(best)
        metric, epoch = found.metric, found.epoch
    return Best(metric, epoch)


def _load_losses(loss: nn.Module, found: ReferenceModel, path: Path) -> list[str]:
    """Load the centres of losses; a memory's place is not saved there, so it starts empty."""
    names: list[str] = list(loss.losses)  # type: ignore[arg-type]
    state, left = {}, []
    for key, tensor in found.losses.items():
        _, index, leaf = key.split(".", 2)
        if leaf == "centers" and int(index) < len(names):
            state[f"losses.{names[int(index)]}.{leaf}"] = tensor
        else:
            left.append(key)
    if state:
        load_state(loss, state, source=str(path), allow_missing=["*memory*", "*num_ids*"])
    if not left:
        return []
    return [f"not used, since the reference does not save where it was in them: {', '.join(left)}"]


def _parameters(trainer: Trainer) -> Iterator[tuple[nn.Parameter, str]]:
    """Yield every parameter with its key: of the model ours, of a loss the reference's."""
    for key, parameter in trainer.update.model.named_parameters():
        yield parameter, key
    losses: Any = trainer.update.loss
    for index, loss in enumerate(losses.losses.values()):
        for key, parameter in loss.named_parameters():
            yield parameter, f"loss_func.{index}.{key}"


def _load_optimizer(
    optimizer: ScheduledOptimizer,
    slots: Mapping[str, Slots],
    keys: Mapping[nn.Parameter, str],
    names: Mapping[str, str],
    path: Path,
) -> None:
    missing = []
    for group in optimizer.optimizer.param_groups:
        for parameter in group["params"]:
            key = keys[parameter]
            own = slots.get(names.get(key, ""), {})
            try:
                state = _state(optimizer.optimizer, group, own, parameter, key)
            except CheckpointError as error:
                raise CheckpointError(f"{path.with_suffix('.pdopt')}: {error}.") from error
            if state is None:
                missing.append(key)
            elif state:
                optimizer.optimizer.state[parameter] = state
    if missing:
        raise CheckpointError(
            f"{path.with_suffix('.pdopt')}: no state for {len(missing)} parameters of this run's "
            f"{type(optimizer.optimizer).__name__} ({', '.join(missing[:3])}, ...); it was saved "
            "by another optimiser or for other parameters. For the weights alone use "
            "Global.pretrained_model."
        )


def _state(
    optimizer: torch.optim.Optimizer,
    group: Mapping[str, Any],
    slots: Slots,
    parameter: Tensor,
    key: str,
) -> dict[str, Any] | None:
    """Return PyTorch's state of a parameter; None if the reference's lacks a part of it."""
    if isinstance(optimizer, torch.optim.SGD):
        wanted = {"momentum_buffer": "velocity"} if group["momentum"] else {}
    elif isinstance(optimizer, RMSProp):
        wanted = {"square": "mean_square", "mean": "mean_grad", "velocity": "momentum"}
    else:
        wanted = {"exp_avg": "moment1", "exp_avg_sq": "moment2"}
    made: dict[str, Any] = {}
    for ours, theirs in wanted.items():
        if theirs not in slots:
            return None
        array = to_our_layout(key, slots[theirs]).copy(order="C")
        found = torch.from_numpy(array)
        if found.shape != parameter.shape:
            return None
        reason = other_kind(found, parameter) or bad_numbers(key, found, parameter)
        if reason:
            raise CheckpointError(f"{theirs} of {key} {reason}")
        made[ours] = found.to(parameter.device, parameter.dtype)
    if "exp_avg" in made:
        power = slots.get("beta1_pow_acc")
        if power is None:
            return None
        decay = group["betas"][0]
        value = float(power.reshape(-1)[0]) if power.size == 1 else math.nan
        if not 0 < value < 1 or not 0 < decay < 1:
            raise CheckpointError(f"beta1_pow_acc of {key} is {value:g}, no power of {decay:g}")
        # the reference multiplies once before the first step
        steps = round(math.log(value) / math.log(decay)) - 1
        made["step"] = torch.tensor(float(max(steps, 0)))
    return made
