"""Inputs that every system is given, from numpy so that they are the same in all environments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def images(sizes: Mapping[str, Any], seed: int) -> tuple[Array, Array]:
    """Return normalised noise ``[B, 3, H, W]`` float32 and labels ``[B]``, two of each identity."""
    rng = np.random.default_rng(seed)
    batch, size = sizes["batch"], sizes["size"]
    pixels = rng.standard_normal((batch, 3, size, size), dtype=np.float32)
    return pixels, paired_labels(batch, sizes["classes"], 2, rng)


def embeddings(sizes: Mapping[str, Any], seed: int) -> tuple[Array, Array]:
    """Return ``[B, D]`` float32 around centres of their identities, and labels ``[B]``."""
    rng = np.random.default_rng(seed)
    batch, per_id = sizes["batch"], sizes.get("per_id", 1)
    labels = paired_labels(batch, sizes.get("classes", batch), per_id, rng)
    _, place = np.unique(labels, return_inverse=True)
    centres = rng.standard_normal((int(place.max()) + 1, sizes["size"]), dtype=np.float32)
    noise = rng.standard_normal((batch, sizes["size"]), dtype=np.float32)
    return centres[place] + 1.5 * noise, labels


def paired_labels(batch: int, classes: int, per_id: int, rng: np.random.Generator) -> Array:
    """Return labels of so many identities, those of one next to each other."""
    drawn = rng.choice(classes, batch // per_id, replace=False)
    return np.repeat(drawn, per_id).astype(np.int64)


def list_labels(sizes: Mapping[str, Any], seed: int) -> Array:
    """Return the label of each image of a list; identities have sizes of a power law, 2 at least.

    The images are in random order, as in a list that was shuffled.
    """
    rng = np.random.default_rng(seed)
    images, ids = sizes["images"], sizes["ids"]
    weight = np.arange(1, ids + 1) ** -0.5
    extra = rng.multinomial(images - 2 * ids, weight / weight.sum())
    labels = np.repeat(np.arange(ids), 2 + extra)
    return rng.permutation(labels).astype(np.int64)
