"""Embeddings that are read when they are needed: from memory, or from a file that is mapped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from lookalike.errors import DataError
from lookalike.geometry import at_least_float32


class Rows(Protocol):
    """A table of embeddings ``[N, D]``.

    Attributes:
        shape: N and D.
        device: Where its rows are computed with.
    """

    @property
    def shape(self) -> tuple[int, int]: ...

    @property
    def device(self) -> torch.device: ...

    def take(self, rows: Tensor) -> Tensor:
        """Return some rows ``[R, D]``, float32 or better, all of them finite."""
        ...


class Table:
    """A table in memory or in a mapped file.

    Args:
        table: ``[N, D]`` tensor, or numpy array, mapped or not.
        what: ``query`` or ``gallery``, for messages.
        names: One per row, for messages.
        prepare: Applied to every piece of the table, such as a normalisation; row by row.

    Raises:
        DataError: If it is not a table of at least one row; and from ``take`` if an embedding is
            not finite, with its name.

    Example:
        >>> Table(torch.eye(3), "gallery").take(torch.tensor([2, 0])).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """

    def __init__(
        self,
        table: Tensor | np.ndarray[Any, np.dtype[Any]],
        what: str,
        *,
        names: Sequence[str] | None = None,
        prepare: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        if table.ndim != 2 or table.shape[0] == 0:
            raise DataError(f"the {what} needs embeddings [N, D], got {list(table.shape)}.")
        self.table, self.what, self.names = table, what, names
        self.prepare = prepare or (lambda piece: piece)

    @property
    def shape(self) -> tuple[int, int]:
        return self.table.shape[0], self.table.shape[1]

    @property
    def device(self) -> torch.device:
        return self.table.device if isinstance(self.table, Tensor) else torch.device("cpu")

    def all(self) -> Tensor:
        """Return the whole table, ``[N, D]``."""
        return self.take(torch.arange(self.shape[0]))

    def take(self, rows: Tensor) -> Tensor:
        """Return some rows ``[R, D]``."""
        if isinstance(self.table, Tensor):
            piece = self.table[rows.to(self.table.device)]
        else:
            piece = torch.from_numpy(np.asarray(self.table[rows.numpy()]))
        if (place := first_not_finite(piece)) is not None:
            row = int(rows[place])
            name = "" if self.names is None else f" ({self.names[row]})"
            raise DataError(
                f"the embedding of {self.what} row {row}{name} is not finite; metrics of such a "
                "table would mean nothing."
            )
        return at_least_float32(self.prepare(piece))


def first_not_finite(piece: Tensor) -> int | None:
    """Return the first row of ``[R, D]`` with a number that is not finite.

    Example:
        >>> first_not_finite(torch.tensor([[1.0], [torch.inf]])), first_not_finite(torch.eye(2))
        (1, None)
    """
    # a sum is finite only if all its terms are; one that overflows is looked at number by number
    if torch.isfinite(piece.sum(dim=1)).all():
        return None
    broken = (~torch.isfinite(piece).all(dim=1)).nonzero()
    return int(broken[0]) if len(broken) else None


def check_pair(query: Tensor, gallery: Tensor, what: str) -> None:
    """Refuse two tables in memory that cannot be compared; ``what`` needs them.

    Raises:
        DataError: If one is empty, their widths differ or a number is not finite.
    """
    shapes = f"{list(query.shape)} and {list(gallery.shape)}"
    if query.ndim != 2 or gallery.ndim != 2 or query.shape[1] != gallery.shape[1]:
        raise DataError(f"{what} needs queries [Q, D] and a gallery [G, D], got {shapes}.")
    if len(query) == 0 or len(gallery) == 0:
        raise DataError(f"{what} needs a query and a gallery image, got {shapes}.")
    for name, table in (("query", query), ("gallery", gallery)):
        if (row := first_not_finite(table)) is not None:
            raise DataError(f"the embedding of {name} row {row} is not finite.")
