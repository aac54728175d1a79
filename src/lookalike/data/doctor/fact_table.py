"""The facts of all files in columns: a hundred bytes per file, however many there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.data.doctor.examine import ImageFacts, Trait, examine
from lookalike.data.doctor.fingerprint import NUM_COLOURS
from lookalike.data.doctor.processes import SECONDS, over_files

_COLUMNS = np.dtype(
    [
        ("size", np.int64),
        ("width", np.int32),
        ("height", np.int32),
        ("kind", np.uint8),
        ("traits", np.uint16),
        ("content", np.uint64),
        ("pixels", np.uint64, (2,)),
        ("perceptual", np.uint64),
        ("colours", np.uint8, (NUM_COLOURS,)),
    ]
)


class FactTable:
    """What is known of each file.

    Args:
        num_files: Rows.

    Attributes:
        broken: File number to kind and message, of those that cannot be read.
    """

    def __init__(self, num_files: int) -> None:
        self.rows: NDArray[Any] = np.zeros(num_files, dtype=_COLUMNS)
        self.broken: dict[int, tuple[str, str]] = {}
        self._kinds: list[str] = []

    def put(self, number: int, facts: ImageFacts) -> None:
        """Keep the facts of a file."""
        if facts.problem:
            self.broken[number] = (facts.problem, facts.message)
            return
        if facts.kind not in self._kinds:
            self._kinds.append(facts.kind)
        self.rows[number] = (
            facts.size,
            facts.width,
            facts.height,
            self._kinds.index(facts.kind),
            int(facts.traits),
            int.from_bytes(facts.content),
            np.frombuffer(facts.pixels, dtype=np.uint64),
            facts.perceptual,
            np.frombuffer(facts.colours, dtype=np.uint8),
        )

    def kind(self, number: int) -> str:
        """Return the format of a file."""
        return self._kinds[int(self.rows["kind"][number])]

    def traits(self, number: int) -> Trait:
        """Return what is odd about a file."""
        return Trait(int(self.rows["traits"][number]))

    @property
    def readable(self) -> NDArray[np.bool_]:
        """Tell of each file whether it could be read."""
        mask = np.ones(len(self.rows), dtype=bool)
        mask[list(self.broken)] = False
        return mask

    def same_pixels(self) -> NDArray[np.int64]:
        """Number the contents: files of equal pixels have one number; -1 for broken files."""
        pixels = np.ascontiguousarray(self.rows["pixels"])
        keys = pixels.view([("a", np.uint64), ("b", np.uint64)])[:, 0]
        _, content = np.unique(keys, return_inverse=True)
        return np.where(self.readable, content.reshape(-1), -1)


def examine_files(
    files: Sequence[str],
    *,
    workers: int,
    advance: Callable[[], None] = lambda: None,
    seconds: float = SECONDS,
) -> FactTable:
    """Examine files in several processes.

    Args:
        files: Paths.
        workers: Processes; 0 reads in this one.
        advance: Called after each file.
        seconds: A file that takes longer counts as unreadable.
    """
    table = FactTable(len(files))
    for number, facts in over_files(examine, files, workers=workers, lost=_lost, seconds=seconds):
        table.put(number, facts)
        advance()
    return table


def _lost(what: str) -> ImageFacts:
    return ImageFacts("unreadable", f"{what}.")
