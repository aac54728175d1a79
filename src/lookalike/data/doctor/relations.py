"""How two rows that show the same image stand to each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lookalike.data.doctor.splits import AllRows

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Relation(NamedTuple):
    """The kinds of finding where two rows show the same pixels, or nearly the same."""

    exact: str
    near: str


CONFLICT = Relation("conflict", "near_conflict")
LEAK = Relation("leak", "near_leak")
IN_GALLERY = Relation("copy_in_gallery", "near_copy_in_gallery")
DUPLICATE = Relation("duplicate", "near_duplicate")
RELATIONS = (CONFLICT, LEAK, IN_GALLERY, DUPLICATE)


class Sides:
    """On which side of the run each row stands.

    Args:
        rows: Of all splits.
        shared_labels: Training and evaluation number the same classes.

    Attributes:
        memorised: Splits of which every image is trained on, by the very same images.
        train: ``[N]`` rows that are trained on.
        test: ``[N]`` rows of the evaluation, but for splits that are memorised as a whole.
        space: ``[N]`` rows of one space may not give one image two labels.
        query: ``[N]`` rows of the queries, if the gallery is a split of its own.
        gallery: ``[N]`` rows of that gallery.
    """

    def __init__(self, rows: AllRows, *, shared_labels: bool) -> None:
        roles = [split.role for split in rows.splits]
        self.memorised = _memorised(rows)
        trains = np.array([role == "train" for role in roles], dtype=bool)
        known = np.array([number in self.memorised for number in range(len(roles))], dtype=bool)
        self.train: Bools = trains[rows.split_of]
        self.test: Bools = ~(trains | known)[rows.split_of]
        space = np.where(trains | (known & shared_labels), 0, 1)
        self.space: Ints = space[rows.split_of]
        self.query: Bools = np.array([role == "query" for role in roles], bool)[rows.split_of]
        self.gallery: Bools = np.array([role == "gallery" for role in roles], bool)[rows.split_of]
        self.rows = rows

    def excluded(self, query: Ints, gallery: Ints) -> Bools:
        """Return which pairs of one label the evaluation leaves out, by camera or as one image."""
        rows = self.rows
        same_camera = rows.cameras[query] == rows.cameras[gallery]
        excluded: Bools = (rows.cameras[query] >= 0) & same_camera
        excluded |= rows.image_of[query] == rows.image_of[gallery]
        return excluded

    def between(self, one: Ints, other: Ints) -> dict[Relation, Bools]:
        """Tell of each pair under which relations ``one`` is the row to report."""
        rows = self.rows
        same_label = rows.labels[one] == rows.labels[other]
        same_split = rows.split_of[one] == rows.split_of[other]
        facing = self.query[one] & self.gallery[other] & same_label
        return {
            CONFLICT: (self.space[one] == self.space[other]) & ~same_label,
            LEAK: self.test[one] & self.train[other],
            IN_GALLERY: facing & ~self.excluded(one, other),
            DUPLICATE: same_split & same_label & (one > other),
        }


def _memorised(rows: AllRows) -> set[int]:
    trained: set[int] = set()
    for number, split in enumerate(rows.splits):
        if split.role == "train":
            trained.update(rows.image_of[rows.split_of == number].tolist())
    return {
        number
        for number, split in enumerate(rows.splits)
        if split.role != "train" and trained.issuperset(rows.image_of[rows.split_of == number])
    }
