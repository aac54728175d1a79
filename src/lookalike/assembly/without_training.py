"""What of a YAML is read where nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_OF_TRAINING = ("Loss", "Optimizer", "AMP", "EMA")


def without_training(
    data: Mapping[str, Any], splits: Sequence[str] = (), evaluating: bool = False
) -> dict[str, Any]:
    """Return the sections that an evaluation, an export or a table of embeddings reads.

    Args:
        data: The whole file.
        splits: Which of ``Train`` and ``Metalearning`` of ``DataLoader`` are read all the same.
        evaluating: Keep ``Loss.Eval`` where the ``eval_mode`` computes it.

    Example:
        >>> without_training({"Arch": {}, "Optimizer": {}, "Metric": {"Train": [], "Eval": []}})
        {'Arch': {}, 'Metric': {'Eval': []}}
    """
    kept = {key: value for key, value in data.items() if key not in _OF_TRAINING}
    unread = {"DataLoader": {"Train", "Metalearning"} - {*splits}, "Metric": {"Train"}}
    for section, keys in unread.items():
        if isinstance(found := kept.get(section), dict):
            kept[section] = {key: value for key, value in found.items() if key not in keys}
    settings = data.get("Global")
    mode = settings.get("eval_mode") if isinstance(settings, dict) else None
    if evaluating and mode in (None, "classification") and (losses := eval_losses(data)):
        kept["Loss"] = {"Eval": losses}
    return kept


def eval_losses(data: Mapping[str, Any]) -> Any:
    """Return what stands under ``Loss.Eval``, or None."""
    losses = data.get("Loss")
    return losses.get("Eval") if isinstance(losses, dict) else None
