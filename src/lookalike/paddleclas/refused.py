"""YAMLs of the reference that belong to another program, told by their marks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OTHER_TRAINING = {
    "fixmatch": "semi-supervised classification (FixMatch)",
    "fixmatch_ccssl": "semi-supervised classification (FixMatch with CCSSL)",
    "progressive": "progressive training of a classifier",
}


def other_program(data: Mapping[str, Any]) -> str | None:
    """Return why a YAML is not run here and what to use instead, or None.

    Example:
        >>> other_program({"Global": {"train_mode": "fixmatch"}})[:44]
        'Global.train_mode fixmatch is semi-supervise'
    """
    settings = data.get("Global")
    mode = settings.get("train_mode") if isinstance(settings, Mapping) else None
    if isinstance(mode, str) and mode in _OTHER_TRAINING:
        return (
            f"Global.train_mode {mode} is {_OTHER_TRAINING[mode]}, which trains no embedding for "
            "retrieval; train the labelled images with a recognition YAML such as "
            "configs/general_recognition.yaml, or use a semi-supervised library."
        )
    if "IndexProcess" in data and "Loss" not in data:
        return (
            "this YAML turned a gallery into the weights of a classifier, and the reference has "
            "deleted the program that read it (gallery2fc); keep the gallery's embeddings instead: "
            "lookalike eval --tables writes them."
        )
    return None
