"""When two entries of lists are the same image: the same file, however its path is written."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any


def image_identities(dataset: Any) -> list[str]:
    """Return a text for each image that is equal for two entries just if they are the same image.

    Two entries are the same image if they name the same file, whichever root, ``./``, double slash
    or symbolic link their paths contain, and the same box in it. Copies of a file are other
    images. Evaluation and data doctor both rely on this definition.

    Args:
        dataset: N images with ``image_root`` and ``paths``, or data sets with these.

    Example:
        >>> from types import SimpleNamespace as Data
        >>> one = image_identities(Data(image_root="a", paths=["b/1.jpg"]))
        >>> one == image_identities(Data(image_root="./a/b", paths=[".//1.jpg"]))
        True
    """
    parts = getattr(dataset, "datasets", None)
    if parts is not None:
        return [name for part in parts for name in image_identities(part)]
    root = os.path.abspath(getattr(dataset, "image_root", "."))
    resolved = _resolver()
    names = [resolved(os.path.join(root, path)) for path in dataset.paths]
    boxes = getattr(dataset, "boxes", None)
    if boxes is None:
        return names
    return [f"{name}#{','.join(map(str, box))}" for name, box in zip(names, boxes, strict=True)]


def _resolver() -> Callable[[str], str]:
    """Return ``os.path.realpath`` for many files: each folder is resolved and listed once."""

    @cache
    def real_folder(folder: str) -> str:
        return os.path.realpath(folder)

    @cache
    def links(folder: str) -> frozenset[str]:
        try:
            with os.scandir(folder) as entries:
                return frozenset(entry.name for entry in entries if entry.is_symlink())
        except OSError:
            return frozenset()

    def resolved(path: str) -> str:
        folder, name = os.path.split(path)
        folder = real_folder(folder)
        if name in ("", ".", "..") or name in links(folder):
            return os.path.realpath(os.path.join(folder, name))
        return os.path.join(folder, name)

    return resolved
