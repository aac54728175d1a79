"""What the labels alone tell: classes that are not there, queries that nothing answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lookalike.data.doctor.findings import Finding
from lookalike.data.doctor.splits import ListedSplit

_SHOWN = 10


def find_label_faults(
    splits: Sequence[ListedSplit], *, num_classes: int | None, shared_labels: bool
) -> Iterator[Finding]:
    """Yield what is wrong with labels.

    Args:
        splits: All of them.
        num_classes: Outputs of the head; None without one.
        shared_labels: Training and evaluation number the same classes.
    """
    by_role = {split.role: split for split in splits}
    for split in splits:
        if num_classes is not None and (split.role == "train" or shared_labels):
            yield from _out_of_range(split, num_classes)
        if split.role == "train":
            yield from _gaps(split, num_classes)
            yield from _singles(split)
    query = by_role.get("query")
    if query is not None:
        gallery = by_role.get("gallery", query)
        if query.cameras is not None and gallery.cameras is None:
            detail = "the query list has a third column (cameras) and the gallery list has none"
            yield Finding("list", gallery.name, detail, source=", ".join(set(gallery.sources)))
        yield from _unreachable(query, gallery)


def _out_of_range(split: ListedSplit, num_classes: int) -> Iterator[Finding]:
    wrong = np.flatnonzero(split.labels >= num_classes)
    labels, first, counts = np.unique(split.labels[wrong], return_index=True, return_counts=True)
    for label, row, count in zip(labels, wrong[first], counts, strict=True):
        images = f"{count:,} image{'s' if count > 1 else ''}"
        detail = f"label {label} of {images} is outside [0, {num_classes}), the classes of the head"
        yield split.finding(int(row), "label_out_of_range", detail)


def _gaps(split: ListedSplit, num_classes: int | None) -> Iterator[Finding]:
    used = np.unique(split.labels)
    end = num_classes or int(used[-1]) + 1
    # a label far out of range is its own finding, and no reason to count to it
    used = used[used < end]
    missing = end - len(used)
    if missing:
        shown = _first_missing(used, end)
        more = ", ..." if missing > len(shown) else ""
        detail = (
            f"{missing:,} of the labels 0 to {end - 1} have no image: "
            f"{', '.join(map(str, shown))}{more}"
        )
        lists = ", ".join(dict.fromkeys(split.sources))
        yield Finding("label_gap", split.name, detail, source=lists)


def _first_missing(used: NDArray[np.int64], end: int) -> list[int]:
    edges = np.concatenate([[-1], used, [end]])
    shown: list[int] = []
    for place in np.flatnonzero(np.diff(edges) > 1):
        shown += range(int(edges[place]) + 1, int(edges[place + 1]))[: _SHOWN - len(shown)]
        if len(shown) == _SHOWN:
            break
    return shown


def _singles(split: ListedSplit) -> Iterator[Finding]:
    labels, first, counts = np.unique(split.labels, return_index=True, return_counts=True)
    for place in np.flatnonzero(counts == 1):
        detail = f"label {labels[place]} has no other image"
        yield split.finding(int(first[place]), "single_image", detail)


def _unreachable(query: ListedSplit, gallery: ListedSplit) -> Iterator[Finding]:
    """Count for each query what may answer it, by the rules of the evaluation."""
    of_label = _counts(gallery.labels, query.labels)
    excluded = np.zeros(len(query), dtype=np.int64)
    if query.cameras is not None and gallery.cameras is not None:
        excluded = _counts(
            np.stack([gallery.labels, gallery.cameras]), np.stack([query.labels, query.cameras])
        )
    if query.root == gallery.root:
        excluded = excluded + _own_images(query, gallery)
    left = of_label - excluded
    for row in np.flatnonzero(left <= 0).tolist():
        label = int(query.labels[row])
        if of_label[row]:
            images = f"{of_label[row]:,} image{'s' if of_label[row] > 1 else ''}"
            detail = f"the gallery's {images} of label {label} are of its own camera or itself"
        else:
            detail = f"the gallery has no image of label {label}"
        yield query.finding(row, "unreachable_query", detail)
    if (left <= 0).all():
        yield Finding(
            "no_answer",
            query.name,
            f"none of the {len(query):,} queries has an answer among {len(gallery):,} images",
        )


def _counts(among: NDArray[np.int64], of: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how often each column of ``of`` occurs in ``among``."""
    both = np.concatenate([np.atleast_2d(among), np.atleast_2d(of)], axis=1)
    _, key = np.unique(both, axis=1, return_inverse=True)
    key = key.reshape(-1)
    split = np.atleast_2d(among).shape[1]
    return np.bincount(key[:split], minlength=int(key.max(initial=0)) + 1)[key[split:]]


def _own_images(query: ListedSplit, gallery: ListedSplit) -> NDArray[np.int64]:
    """Count the gallery's rows of each query's own path and label that no camera excludes."""
    number = {path: place for place, path in enumerate(dict.fromkeys(gallery.paths))}
    own = np.array([number[path] for path in gallery.paths])
    asked = np.array([number.get(path, -1) for path in query.paths])
    every = _counts(np.stack([gallery.labels, own]), np.stack([query.labels, asked]))
    if query.cameras is None or gallery.cameras is None:
        return every
    same_camera = _counts(
        np.stack([gallery.labels, own, gallery.cameras]),
        np.stack([query.labels, asked, query.cameras]),
    )
    return every - same_camera
