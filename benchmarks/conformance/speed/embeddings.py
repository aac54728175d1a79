"""Embeddings with power-law classes, the same on every machine, in files.

The r-th class is drawn with probability in proportion to ``r ** -0.6``: few large classes and many
small ones. Every class has an item in the gallery, so every query can be answered and systems that
disagree about lone queries can be compared. Points are hard on purpose: the last relevant item of
a query lies deep in the gallery, which is the worst case for counting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
EXPONENT, NOISE, CHUNK = 0.6, 0.11, 65_536


@dataclass(frozen=True)
class Files:
    """Where a problem is stored.

    Attributes:
        folder: Holds ``query.npy``, ``gallery.npy`` and the labels of both.
    """

    folder: Path

    def labels(self, side: str) -> Array:
        """Return ``[N]`` int64."""
        return np.asarray(np.load(self.folder / f"{side}_labels.npy"))

    def vectors(self, side: str, *, mapped: bool = False) -> Array:
        """Return ``[N, D]`` float32, in memory or mapped."""
        path = self.folder / f"{side}.npy"
        return np.load(path, mmap_mode="r") if mapped else np.asarray(np.load(path))


def write(
    folder: Path, queries: int, gallery: int, size: int, *, num_classes: int, seed: int
) -> Files:
    """Draw a problem and write it, a piece at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    chance = np.arange(1, num_classes + 1) ** -EXPONENT
    chance /= chance.sum()
    certain = np.arange(num_classes)[:gallery]
    drawn = rng.choice(num_classes, gallery - len(certain), p=chance)
    # the certain ones stand in front, so that the front of a gallery has every class too
    gallery_labels = np.concatenate([rng.permutation(certain), drawn])
    query_labels = rng.choice(len(certain), queries, p=_front(chance, len(certain)))
    centres = _unit(rng.standard_normal((num_classes, size), dtype=np.float32))
    for number, (side, labels) in enumerate((("query", query_labels), ("gallery", gallery_labels))):
        np.save(folder / f"{side}_labels.npy", labels.astype(np.int64))
        path, shape = folder / f"{side}.npy", (len(labels), size)
        table = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        for rows, piece in _pieces(labels, centres, (seed, number)):
            table[rows] = piece
        table.flush()
    return Files(folder)


def _front(chance: Array, number: int) -> Array:
    return chance[:number] / chance[:number].sum()


def _unit(rows: Array) -> Array:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _pieces(labels: Array, centres: Array, seed: tuple[int, int]) -> Iterator[tuple[slice, Array]]:
    for start in range(0, len(labels), CHUNK):
        rows = slice(start, start + CHUNK)
        own = centres[labels[rows]]
        rng = np.random.default_rng([*seed, start])
        yield rows, _unit(own + NOISE * rng.standard_normal(own.shape, dtype=np.float32))
