"""Where a result comes from: seed, versions, commit, data."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from lookalike.data import ImageDataset

_PACKAGES = ("lookalike", "torch", "torchvision", "timm", "numpy", "pillow", "simplejpeg")


def facts(
    seed: int, splits: Mapping[str, ImageDataset], config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a checkpoint's manifest tells of the run it comes from."""
    return {
        "seed": seed,
        # as it will be read back: compared with that of the run that goes on
        "config": json.loads(json.dumps(config, default=str)),
        "versions": versions(),
        "git_commit": git_commit(),
        "data": {name: _data_hash(dataset) for name, dataset in splits.items()},
    }


def versions() -> dict[str, str]:
    """Return the versions a result depends on."""
    found = {"python": sys.version.split()[0], "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "unknown"
    return found


def git_commit() -> str | None:
    """Return the commit of the folder the run was started in, if it is a checkout."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _data_hash(dataset: ImageDataset) -> dict[str, Any]:
    """Return a hash of the list: which images, with which labels, in which order."""
    digest = hashlib.sha256()
    cameras: Sequence[int] = dataset.cameras or [-1] * len(dataset)
    for path, label, camera in zip(dataset.paths, dataset.labels, cameras, strict=True):
        digest.update(f"{path}\t{label}\t{camera}\n".encode())
    return {"images": len(dataset), "list_sha256": digest.hexdigest()}
