"""What the labels alone tell: classes that are not there, queries that nothing answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lookalike.data.answers import ListedRows, count_answers
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
        name = split.class_name(int(label))
        detail = f"label {name} of {images} is outside [0, {num_classes}), the classes of the head"
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
        detail = f"label {split.class_name(int(labels[place]))} has no other image"
        yield split.finding(int(first[place]), "single_image", detail)


def _unreachable(query: ListedSplit, gallery: ListedSplit) -> Iterator[Finding]:
    """Count for each query what may answer it, by the rules of the evaluation."""
    images = _numbers([*query.images, *gallery.images])
    sides = (
        ListedRows(query.labels, query.cameras, images[: len(query)]),
        ListedRows(gallery.labels, gallery.cameras, images[len(query) :]),
    )
    answers = count_answers(*sides)
    of_label, left = answers.of_label, answers.left
    for row in np.flatnonzero(left <= 0).tolist():
        label = query.class_name(int(query.labels[row]))
        if of_label[row]:
            number = f"{of_label[row]:,} image{'s' if of_label[row] > 1 else ''}"
            detail = f"the gallery's {number} of label {label} are of its own camera or itself"
        else:
            detail = f"the gallery has no image of label {label}"
        yield query.finding(row, "unreachable_query", detail)
    if (left <= 0).all():
        yield Finding(
            "no_answer",
            query.name,
            f"none of the {len(query):,} queries has an answer among {len(gallery):,} images",
        )


def _numbers(names: Sequence[str]) -> NDArray[np.int64]:
    number: dict[str, int] = {}
    return np.array([number.setdefault(name, len(number)) for name in names], dtype=np.int64)
