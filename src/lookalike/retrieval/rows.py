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
        # a sum is finite only if all its terms are; one that overflows is looked at row by row
        finite = torch.isfinite(piece.sum(dim=1))
        if not finite.all():
            finite = torch.isfinite(piece).all(dim=1)
        if not finite.all():
            row = int(rows[int((~finite).nonzero()[0])])
            name = "" if self.names is None else f" ({self.names[row]})"
            raise DataError(
                f"the embedding of {self.what} row {row}{name} is not finite; metrics of such a "
                "table would mean nothing."
            )
        return at_least_float32(self.prepare(piece))
