"""Keys of the reference that have no meaning on PyTorch: taken out, each with one note."""

from __future__ import annotations

from typing import Any

_ANY = "*"

IRRELEVANT: dict[tuple[str, ...], str] = {
    ("Infer",): "the reference's program for single images serves classifiers only",
    ("Global", "infer_imgs"): "the reference's program for single images serves classifiers only",
    ("Global", "use_dali"): "images are read by our own pipeline",
    ("Global", "to_static"): "there is no static graph mode",
    ("Global", "print_mem_info"): "memory is part of the run's summary",
    ("Global", "log_ranks"): "the first process writes the log",
    ("Global", "uniform_output_enabled"): "every run folder has the same layout",
    ("Global", "export_for_fd"): "one export format serves all",
    ("AMP", "use_promote"): "autocast decides by itself what is computed in half",
    ("AMP", "use_fp16_test"): "evaluation is computed in float32",
    ("Arch", "BackboneStopLayer", "output_dim"): "the width of the cut is measured",
    ("DataLoader", _ANY, "loader", "use_shared_memory"): "workers always share memory",
    ("DataLoader", _ANY, _ANY, "loader", "use_shared_memory"): "workers always share memory",
}


def drop_irrelevant(data: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the data without the keys that mean nothing here, and one note for each key word.

    Example:
        >>> drop_irrelevant({"Global": {"epochs": 1, "use_dali": False}})
        ({'Global': {'epochs': 1}}, ["'use_dali' has no effect here: images are read by our own \
pipeline."])
    """
    notes: dict[str, str] = {}
    cleaned = _walk(data, (), notes)
    return cleaned, list(notes.values())


def _walk(value: Any, path: tuple[str, ...], notes: dict[str, str]) -> Any:
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, item in value.items():
        here = (*path, str(key))
        reason = next((why for rule, why in IRRELEVANT.items() if _matches(rule, here)), None)
        if reason is not None:
            notes[str(key)] = f"'{key}' has no effect here: {reason}."
        else:
            kept[key] = _walk(item, here, notes)
    return kept


def _matches(rule: tuple[str, ...], path: tuple[str, ...]) -> bool:
    return len(rule) == len(path) and all(
        part in (_ANY, name) for part, name in zip(rule, path, strict=True)
    )
