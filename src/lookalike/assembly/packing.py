"""The data set of one split of a YAML, to be packed."""

from __future__ import annotations

from typing import Any

from lookalike.assembly.data_parts import make_dataset
from lookalike.assembly.load import Run, locating
from lookalike.config.schema import SplitSection
from lookalike.errors import ConfigError, nearest


def packable_split(run: Run, name: str) -> Any:
    """Build the data set of a split.

    Args:
        run: The configuration; its model is not built.
        name: ``Train``, ``Query``, ``Gallery`` or ``Eval``.

    Raises:
        ConfigError: If there is no such split, or its images are more than files with labels.
    """
    splits = _splits(run)
    if name not in splits:
        known = ", ".join(splits) or "none"
        raise ConfigError(
            f"DataLoader has no split '{name}'.{nearest(name, splits)} It has {known}."
        )
    spec = splits[name].dataset
    with locating(run):
        dataset = make_dataset(spec, run.allow_import)
    reason = ""
    if not hasattr(dataset, "file_bytes"):
        reason = "its images are not files"
    elif any(one.boxes is not None for one in getattr(dataset, "datasets", [dataset])):
        reason = "its boxes (bbox_crop) would be lost"
    elif any(one.label_key is not None for one in getattr(dataset, "datasets", [dataset])):
        reason = "its labels come from the transforms (label_key)"
    if reason:
        raise ConfigError(f"{spec.name} cannot be packed: {reason}.")
    return dataset


def _splits(run: Run) -> dict[str, SplitSection]:
    loaders = run.config.DataLoader
    found = {} if loaders.Train is None else {"Train": loaders.Train}
    if loaders.Eval is None:
        return found
    if loaders.Eval.single is not None:
        return found | {"Eval": loaders.Eval.single}
    assert loaders.Eval.Query is not None and loaders.Eval.Gallery is not None
    return found | {"Query": loaders.Eval.Query, "Gallery": loaders.Eval.Gallery}
