"""Rows whose images have the very same pixels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lookalike.data.doctor.relations import (
    CONFLICT,
    DUPLICATE,
    IN_GALLERY,
    LEAK,
    Ints,
    Relation,
    Sides,
)

Found = tuple[Relation, int, int]
"""A relation, the row to report, and the first row it stands in this relation to."""


def equal_images(content: Ints, sides: Sides) -> Iterator[Found]:
    """Yield each row that has an equal, once for each relation, beside the first such equal.

    Linear in the rows, also where a thousand blank pages have a thousand labels.

    Args:
        content: ``[N]`` number of each row's pixels, -1 where they are unknown.
        sides: Of the rows.
    """
    known = np.flatnonzero(content >= 0)
    order = known[np.argsort(content[known], kind="stable")]
    bounds = np.flatnonzero(np.diff(content[order])) + 1
    starts = np.concatenate([[0], bounds])
    ends = np.concatenate([bounds, [len(order)]])
    for first, last in zip(starts.tolist(), ends.tolist(), strict=True):
        if last - first > 1:
            group = order[first:last].tolist()
            yield from _duplicates(group, sides)
            yield from _conflicts(group, sides)
            yield from _leaks(group, sides)
            yield from _in_gallery(group, sides)


def _duplicates(group: list[int], sides: Sides) -> Iterator[Found]:
    rows, seen = sides.rows, dict[tuple[int, int], int]()
    for row in group:
        first = seen.setdefault((int(rows.split_of[row]), int(rows.labels[row])), row)
        if first != row:
            yield DUPLICATE, row, first


def _conflicts(group: list[int], sides: Sides) -> Iterator[Found]:
    labels, firsts = sides.rows.labels, dict[int, dict[int, int]]()
    for row in group:
        firsts.setdefault(int(sides.space[row]), {}).setdefault(int(labels[row]), row)
    # the first row of the first label, and of the second one for those whose own is the first
    heads = {space: list(of_label.values())[:2] for space, of_label in firsts.items()}
    for row in group:
        for head in heads[int(sides.space[row])]:
            if labels[head] != labels[row]:
                yield CONFLICT, row, head
                break


def _leaks(group: list[int], sides: Sides) -> Iterator[Found]:
    first = next((row for row in group if sides.train[row]), None)
    if first is not None:
        yield from ((LEAK, row, first) for row in group if sides.test[row])


def _in_gallery(group: list[int], sides: Sides) -> Iterator[Found]:
    rows = sides.rows
    candidates: dict[int, list[int]] = {}
    kept: dict[tuple[int, int], list[int]] = {}
    for row in group:
        if sides.gallery[row]:
            # two images of each camera are enough: only one of them can be the query's own
            same = kept.setdefault((int(rows.labels[row]), int(rows.cameras[row])), [])
            if len(same) < 2 and rows.image_of[row] not in rows.image_of[same]:
                same.append(row)
                candidates.setdefault(int(rows.labels[row]), []).append(row)
    for row in group:
        if sides.query[row]:
            for other in candidates.get(int(rows.labels[row]), ()):
                if not sides.excluded(np.array([row]), np.array([other]))[0]:
                    yield IN_GALLERY, row, other
                    break
