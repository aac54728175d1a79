"""The table of embeddings that every evaluation starts from, and how it lies in a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from lookalike.archives import read_npz
from lookalike.errors import DataError, SetupError, cut
from lookalike.table_parts import read_embeddings, read_integers, read_names

NAMES = {"class_names": "labels", "camera_names": "cameras"}
TABLE_PARTS = ("embeddings", "labels", "ids", "cameras", "fingerprint", "images", *NAMES)
"""What is read from a file; anything else in it is ignored."""


@dataclass(frozen=True)
class EmbeddingTable:
    """Embeddings of a set of images, with their labels.

    Arrays and lists are converted to tensors and gradients are dropped. Whether the embeddings are
    finite is checked when they are compared: a table in a mapped file may exceed the memory.

    Attributes:
        embeddings: ``[N, D]`` of any real type. Two tables are compared in float64 if one of them
            is float64, in float32 otherwise.
        labels: ``[N]`` int64 on the CPU; any whole numbers are accepted.
        ids: N names, one per image: its path in the list file. Rows of the same name are the same
            image.
        cameras: ``[N]`` int64 on the CPU, or None where the data has none.
        fingerprint: Identifies the weights that made the table.
        images: ``[N]`` int64, equal for the same image in all tables of one machine; None where
            the ids identify the images.
        class_names: Name of each label, or None where labels are numbers of a list.
        camera_names: Name of each camera, or None where cameras are numbers of a list.

    Raises:
        DataError: If a part has the wrong type, shape or length; names the part.

    Example:
        >>> EmbeddingTable([[1.0, 0.0], [0.0, 1.0]], [3, 5], ["a.jpg", "b.jpg"]).labels
        tensor([3, 5])
        >>> EmbeddingTable([[1.0, 0.0], [0.0, 1.0]], [3], ["a.jpg", "b.jpg"])
        Traceback (most recent call last):
            ...
        lookalike.errors.DataError: labels: 2 expected, one for each row, got [1].
    """

    embeddings: Tensor
    labels: Tensor
    ids: list[str]
    cameras: Tensor | None = None
    fingerprint: str = ""
    images: Tensor | None = None
    class_names: Sequence[str] | None = None
    camera_names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        self._put("embeddings", read_embeddings(self.embeddings))
        number = len(self.embeddings)
        self._put("labels", read_integers(self.labels, number, "labels"))
        self._put("ids", read_names(self.ids, number))
        if self.cameras is not None:
            self._put("cameras", read_integers(self.cameras, number, "cameras"))
        if self.images is not None:
            self._put("images", read_integers(self.images, number, "images"))
        for names, numbers in NAMES.items():
            if getattr(self, names) is not None:
                self._put_names(names, getattr(self, numbers), numbers)
        if not isinstance(self.fingerprint, str):
            raise DataError(f"fingerprint: a text expected, got {cut(self.fingerprint, 60)}.")

    def _put(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # frozen for its users

    def _put_names(self, what: str, numbers: Tensor | None, of: str) -> None:
        names = list(getattr(self, what))
        self._put(what, read_names(names, len(names), what))
        largest = -1 if numbers is None or not len(numbers) else int(numbers.max())
        if largest >= len(names):
            raise DataError(f"{what}: {len(names):,} names, but {of} up to {largest}.")

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, chosen: Tensor) -> EmbeddingTable:
        """Return some rows of the table, ``chosen`` ``[R]`` int64, in that order."""
        return replace(
            self,
            embeddings=self.embeddings[chosen.to(self.embeddings.device)],
            labels=self.labels[chosen],
            ids=[self.ids[row] for row in chosen.tolist()],
            cameras=None if self.cameras is None else self.cameras[chosen],
            images=None if self.images is None else self.images[chosen],
        )

    def save(self, path: str | Path) -> None:
        """Write the table as ``.npz``."""
        arrays: dict[str, Any] = {
            "embeddings": self.embeddings.cpu().numpy(),
            "labels": self.labels.numpy(),
            "ids": np.array(self.ids, dtype=np.str_),
            "fingerprint": np.array(self.fingerprint),
        }
        if self.cameras is not None:
            arrays["cameras"] = self.cameras.numpy()
        if self.images is not None:
            arrays["images"] = self.images.numpy()
        for name in NAMES:
            if (names := getattr(self, name)) is not None:
                arrays[name] = np.array(names, dtype=np.str_)
        np.savez(path, **arrays)

    @staticmethod
    def load(path: str | Path) -> EmbeddingTable:
        """Read a ``.npz`` table into memory; never unpickles anything.

        Raises:
            DataError: If the file is missing or damaged, or its arrays do not fit each other.
        """
        with reading_table(path):
            # copied: a mapped file may not be written again while it is read
            arrays = read_npz(path, TABLE_PARTS)
            return table_of({k: v if v is None else np.array(v) for k, v in arrays.items()})


def table_of(arrays: Mapping[str, Any]) -> EmbeddingTable:
    """Make a table from the arrays of a file; missing ids are the numbers of the rows.

    Raises:
        DataError: If a part is missing, empty or wrong.

    Example:
        >>> table_of({"embeddings": [[1.0]], "labels": [2]}).ids
        ['0']
    """
    for name in ("embeddings", "labels"):
        if arrays.get(name) is None:
            raise DataError(f"has no '{name}'; it has {', '.join(arrays) or 'nothing'}.")
    embeddings = read_embeddings(arrays["embeddings"])
    if not len(embeddings):
        raise DataError(f"no rows; embeddings are {list(embeddings.shape)}.")
    ids, mark = arrays.get("ids"), arrays.get("fingerprint")
    return EmbeddingTable(
        embeddings=embeddings,
        labels=arrays["labels"],
        ids=[str(row) for row in range(len(embeddings))] if ids is None else ids,
        cameras=arrays.get("cameras"),
        fingerprint="" if mark is None else str(np.asarray(mark)),
        images=arrays.get("images"),
        **{name: arrays.get(name) for name in NAMES},
    )


@contextmanager
def reading_table(path: str | Path) -> Iterator[None]:
    """Name the file in whatever error a missing or damaged one raises.

    Raises:
        DataError: Names the file and says what is wrong with it.

    Example:
        >>> with reading_table("a.npz"):
        ...     table_of({"labels": [1]})
        Traceback (most recent call last):
            ...
        lookalike.errors.DataError: a.npz: has no 'embeddings'; it has labels.
    """
    try:
        yield
    except SetupError:
        raise
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except Exception as error:  # noqa: BLE001 - a damaged file fails in every way
        raise DataError(
            f"{path}: no embedding table, or damaged ({type(error).__name__}: {cut(str(error))})."
        ) from error
