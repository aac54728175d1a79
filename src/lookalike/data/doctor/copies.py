"""Equal and almost equal images: listed twice, under two labels, or on both sides of a test."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lookalike.data.doctor.equal_images import equal_images
from lookalike.data.doctor.fact_table import FactTable
from lookalike.data.doctor.findings import Finding
from lookalike.data.doctor.relations import Sides
from lookalike.data.doctor.similar_images import similar_images
from lookalike.data.doctor.splits import AllRows


def find_copies(rows: AllRows, facts: FactTable, *, shared_labels: bool) -> Iterator[Finding]:
    """Yield every row that shows what another one shows, once for each relation.

    Args:
        rows: Of all splits.
        facts: Of their files.
        shared_labels: Training and evaluation number the same classes.
    """
    if not len(rows):
        return
    sides = Sides(rows, shared_labels=shared_labels)
    for number in sorted(sides.memorised):
        split = rows.splits[number]
        detail = f"all {len(split):,} images of {split.name} are images of the training set"
        lists = ", ".join(dict.fromkeys(split.sources))
        yield Finding("same_images", split.name, detail, source=lists)
    content = facts.same_pixels()[rows.file_of]
    for relation, row, other in equal_images(content, sides):
        yield _finding(rows, relation.exact, row, other, _what_is_equal(rows, facts, row, other))
    for relation, row, other, bits in similar_images(content, sides, facts):
        yield _finding(rows, relation.near, row, other, f"{bits} of 64 bits off")


def _finding(rows: AllRows, kind: str, row: int, other: int, how: str) -> Finding:
    where, place = rows.place(row), rows.place(other)
    label, other_label = (
        one.split.class_name(int(one.split.labels[one.row])) for one in (where, place)
    )
    labels = f"label {label}" if label == other_label else f"label {label}, there {other_label}"
    return where.split.finding(where.row, kind, f"as in {place} ({how}), {labels}", place)


def _what_is_equal(rows: AllRows, facts: FactTable, row: int, other: int) -> str:
    if rows.image_of[row] == rows.image_of[other]:
        return "the same file"
    files = rows.file_of[[row, other]]
    content = facts.rows["content"][np.asarray(files)]
    return "a copy of the file" if content[0] == content[1] else "the same pixels in another file"
