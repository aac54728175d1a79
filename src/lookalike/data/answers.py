"""How many gallery images may answer each query, known from the lists alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ListedRows:
    """What decides whether an image may answer another.

    Attributes:
        labels: ``[N]`` int64.
        cameras: ``[N]`` int64, or None.
        images: ``[N]`` int64, equal for the same image; see ``image_identities``.
    """

    labels: Ints
    cameras: Ints | None
    images: Ints


@dataclass(frozen=True)
class Answers:
    """Gallery images of each query's label, ``[Q]`` int64 each.

    Attributes:
        of_label: All of them.
        of_own_camera: Those of the query's camera, which are removed; 0 without cameras.
        left: Those that are neither of the query's camera nor the query's own image.
    """

    of_label: Ints
    of_own_camera: Ints
    left: Ints


def count_answers(query: ListedRows, gallery: ListedRows) -> Answers:
    """Count for each query what may answer it, by the rules of the evaluation.

    Example:
        >>> rows = ListedRows(np.array([0, 0, 1]), np.array([1, 2, 1]), np.array([0, 1, 2]))
        >>> count_answers(rows, rows).left.tolist()
        [1, 1, 0]
    """
    of_label = _counts([gallery.labels], [query.labels])
    own_image = _counts([gallery.labels, gallery.images], [query.labels, query.images])
    if query.cameras is None or gallery.cameras is None:
        return Answers(of_label, np.zeros_like(of_label), of_label - own_image)
    own_camera = _counts([gallery.labels, gallery.cameras], [query.labels, query.cameras])
    both = _counts(
        [gallery.labels, gallery.cameras, gallery.images],
        [query.labels, query.cameras, query.images],
    )
    return Answers(of_label, own_camera, of_label - own_camera - own_image + both)


def _counts(among: Sequence[Ints], of: Sequence[Ints]) -> Ints:
    """Return how often each row of the columns ``of`` occurs in the columns ``among``."""
    key = np.zeros(len(among[0]) + len(of[0]), dtype=np.int64)
    for one, other in zip(among, of, strict=True):
        _, column = np.unique(np.concatenate([one, other]), return_inverse=True)
        _, key = np.unique(key * (int(column.max(initial=0)) + 1) + column, return_inverse=True)
    size = len(among[0])
    return np.bincount(key[:size], minlength=int(key.max(initial=0)) + 1)[key[size:]]
