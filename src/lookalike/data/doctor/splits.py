"""The images of a split as its lists have them, whether or not their files are there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lookalike.data.doctor.findings import Finding
from lookalike.data.image_identity import image_identities

Role = Literal["train", "query", "gallery", "classified"]


@dataclass(frozen=True)
class ListedSplit:
    """The rows of one split.

    Attributes:
        name: ``Train``, ``Query``, ``Gallery`` or ``Eval``.
        role: What it is for; a split that is query and gallery at once is ``query``.
        paths: As the lists write them.
        files: Where each image is.
        images: Text per image, equal for the same image; see ``image_identities``.
        labels: ``[N]`` int64.
        cameras: ``[N]`` int64, or None.
        sources: The list each row stands in.
        lines: The line it stands in, from 1.
        class_names: Name of each label; None where labels are numbers of the list.
    """

    name: str
    role: Role
    paths: Sequence[str]
    files: Sequence[str]
    images: Sequence[str]
    labels: NDArray[np.int64]
    cameras: NDArray[np.int64] | None
    sources: Sequence[str]
    lines: Sequence[int]
    class_names: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    @staticmethod
    def of(name: str, role: Role, dataset: Any) -> ListedSplit:
        """Take the rows of a data set, or of each of several mixed ones.

        Args:
            name: As in ListedSplit.
            role: As in ListedSplit.
            dataset: An :class:`~lookalike.data.ImageDataset` or what holds several of them.
        """
        parts = list(getattr(dataset, "datasets", [dataset]))
        cameras = dataset.cameras
        return ListedSplit(
            name=name,
            role=role,
            paths=[path for part in parts for path in part.paths],
            files=[
                os.path.normpath(os.path.join(root, path))
                for part in parts
                for root in [os.path.abspath(part.image_root)]
                for path in part.paths
            ],
            images=image_identities(dataset),
            labels=np.asarray(dataset.labels, dtype=np.int64),
            cameras=None if cameras is None else np.asarray(cameras, dtype=np.int64),
            sources=[part.source for part in parts for _ in range(len(part))],
            lines=[line for part in parts for line in _lines(part)],
            class_names=getattr(dataset, "class_names", None),
        )

    def class_name(self, label: int) -> str:
        """Return what the list calls a label."""
        return str(label) if self.class_names is None else self.class_names[label]

    def finding(self, row: int, kind: str, detail: str, other: Place | None = None) -> Finding:
        """Say something of a row, and of another row."""
        return Finding(
            kind=kind,
            split=self.name,
            detail=detail,
            path=self.paths[row],
            source=self.sources[row],
            line=self.lines[row],
            other="" if other is None else other.split.paths[other.row],
            file=self.files[row],
            other_file="" if other is None else other.split.files[other.row],
        )


@dataclass(frozen=True)
class Place:
    """A row of a split."""

    split: ListedSplit
    row: int

    def __str__(self) -> str:
        line = self.split.lines[self.row]
        return f"{self.split.name} line {line}" if line else f"{self.split.name} {self.row + 1}"


def _lines(part: Any) -> Sequence[int]:
    images = getattr(part, "images", None)
    return images.lines if images is not None and part.source else [0] * len(part)


class AllRows:
    """The rows of several splits, numbered through, and the files behind them, each once.

    Args:
        splits: In the order that decides which of two equal images is the first.

    Attributes:
        starts: ``[S + 1]`` number of the first row of each split, and of all rows.
        split_of: ``[N]`` which split a row is in.
        labels: ``[N]`` int64.
        cameras: ``[N]`` int64, -1 where a split has none.
        file_of: ``[N]`` place of its file in ``files``.
        image_of: ``[N]`` number of its image, equal for the same image.
        files: Each file once.
    """

    def __init__(self, splits: Sequence[ListedSplit]) -> None:
        self.splits = list(splits)
        self.starts = np.cumsum([0, *(len(split) for split in splits)])
        number: dict[str, int] = {}
        self.file_of = np.fromiter(
            (number.setdefault(file, len(number)) for split in splits for file in split.files),
            dtype=np.int64,
            count=int(self.starts[-1]),
        )
        self.files = list(number)
        image: dict[str, int] = {}
        self.image_of = np.fromiter(
            (image.setdefault(name, len(image)) for split in splits for name in split.images),
            dtype=np.int64,
            count=int(self.starts[-1]),
        )
        sizes = np.diff(self.starts)
        self.split_of = np.repeat(np.arange(len(sizes)), sizes)
        empty = np.zeros(0, dtype=np.int64)
        self.labels = np.concatenate([empty, *(split.labels for split in splits)])
        cameras = [
            np.full(len(split), -1) if split.cameras is None else split.cameras for split in splits
        ]
        self.cameras = np.concatenate([empty, *cameras])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def place(self, row: int) -> Place:
        """Return the split of a row and its number there."""
        which = int(self.split_of[row])
        return Place(self.splits[which], row - int(self.starts[which]))
