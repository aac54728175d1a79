"""The reference's weight files: which ones a path means, and their content as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.errors import CheckpointError, cut
from lookalike.paddleclas.pickles import NAMES_KEY, read_pickle
from lookalike.paddleclas.tensor_files import bfloat16_to_float32, read_exported

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

WEIGHT_SUFFIXES = (".pdparams", ".pdema", ".pdiparams")
# what release 2.5 and later write for the best model
_IN_FOLDER = ("model.pdparams", "inference.pdiparams")


@dataclass(frozen=True)
class ReferenceState:
    """Weights as a file of the reference holds them.

    Attributes:
        path: The file.
        arrays: By the reference's key; floating ones at least single precision.
        parameter_names: Key to the running number the reference's optimiser knows it by.
        numbered: The keys are such running numbers: an exported model.
    """

    path: Path
    arrays: dict[str, Any]
    parameter_names: dict[str, str] = field(default_factory=dict)
    numbered: bool = False


def reference_file(path: str | Path) -> Path | None:
    """Return the reference's weight file that a path means, with or without its suffix.

    Example:
        >>> reference_file("output/best_model.safetensors")
    """
    path = Path(path)
    if path.suffix in WEIGHT_SUFFIXES:
        return path
    candidates = [path / name for name in _IN_FOLDER] if path.is_dir() else []
    candidates += [path.with_name(path.name + suffix) for suffix in WEIGHT_SUFFIXES]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def read_reference(path: Path) -> ReferenceState:
    """Read a weight file of the reference; needs neither Paddle nor trust.

    Raises:
        CheckpointError: If it is missing, damaged or asks for anything but numbers.
    """
    if path.suffix == ".pdiparams":
        return ReferenceState(path, read_exported(path), numbered=True)
    content = read_pickle(path)
    if isinstance(content, Mapping) and isinstance(content.get("model"), Mapping):
        content = content["model"]
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not tensors by name.")
    names = content.get(NAMES_KEY, {})
    if not isinstance(names, Mapping):
        raise CheckpointError(f"{path}: '{NAMES_KEY}' is a {type(names).__name__}, no mapping.")
    arrays = {}
    for key, value in content.items():
        if key == NAMES_KEY:
            continue
        array = value[1] if isinstance(value, tuple) and len(value) == 2 else value
        if not hasattr(array, "dtype"):
            raise CheckpointError(
                f"{path}: {cut(str(key))} is a {type(array).__name__}, not a tensor; give the "
                ".pdparams file, not .pdopt or .pdstates."
            )
        if str(key) in arrays:
            raise CheckpointError(f"{path}: holds two tensors for {cut(str(key))}.")
        arrays[str(key)] = _single(array)
    if not arrays:
        raise CheckpointError(f"{path}: holds no tensors.")
    return ReferenceState(path, arrays, {str(k): str(v) for k, v in names.items()})


def _single(array: Array) -> Array:
    """Return bfloat16, which the reference stores as 16-bit patterns, as what it means."""
    return bfloat16_to_float32(array) if array.dtype == "uint16" else array
