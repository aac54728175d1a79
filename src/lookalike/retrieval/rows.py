"""Embeddings that are read when they are needed: from memory, or from a file that is mapped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from lookalike.errors import DataError
from lookalike.geometry import at_least_float32
from lookalike.table_parts import read_embeddings


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
        """Return some rows ``[R, D]``, float32 or float64, in a range that can be multiplied."""
        ...


class Table:
    """A table in memory or in a mapped file.

    Args:
        table: ``[N, D]`` tensor, or numpy array, mapped or not.
        what: ``query`` or ``gallery``, for messages.
        names: One per row, for messages.
        prepare: Applied to every piece of the table, such as a normalisation; row by row.
        any_scale: The rows will be normalised later, so any finite number is fine.

    Raises:
        DataError: If it is not a table of real numbers with at least one row; and from ``take`` if
            an embedding is not finite, or its inner products could overflow, with its name.

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
        any_scale: bool = False,
    ) -> None:
        self.table = table
        if isinstance(table, Tensor):
            self.table = read_embeddings(table, f"{what} embeddings")
        elif table.ndim != 2 or table.shape[1] == 0 or table.dtype.kind not in "biuf":
            raise DataError(
                f"the {what} needs embeddings [N, D] of real numbers, got {table.dtype} "
                f"{list(table.shape)}."
            )
        if table.shape[0] == 0:
            raise DataError(f"the {what} is empty: there are no embeddings to compare.")
        self.what, self.names = what, names
        self.prepare = prepare or (lambda piece: piece)
        self.any_scale = any_scale

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
        piece = computable(piece)
        if (place := first_not_finite(piece)) is not None:
            raise DataError(
                f"the embedding of {self._row(rows[place])} is not finite; metrics of such a "
                "table would mean nothing."
            )
        piece = computable(self.prepare(piece))
        if not self.any_scale and (place := first_out_of_range(piece)) is not None:
            raise DataError(
                out_of_range(piece[place], f"the embedding of {self._row(rows[place])}")
            )
        return piece

    def _row(self, number: Tensor) -> str:
        row = int(number)
        return f"{self.what} row {row}" + ("" if self.names is None else f" ({self.names[row]})")


def computable(piece: Tensor) -> Tensor:
    """Return float32 or float64, the latter for what is that wide: nothing is lost.

    Example:
        >>> [computable(torch.zeros(1, dtype=kind)).dtype for kind in (torch.int8, torch.int64)]
        [torch.float32, torch.float64]
    """
    wide = piece.dtype.itemsize > 2 and not piece.dtype.is_floating_point
    return piece.double() if wide else at_least_float32(piece)


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


def first_out_of_range(piece: Tensor, dtype: torch.dtype | None = None) -> int | None:
    """Return the first row of ``[R, D]`` whose inner products could overflow or vanish.

    The largest number of a row should be 0, or from 1e-15 to 1e15 (1e-140 to 1e140 in float64).
    That of a vector of length one is.

    Args:
        piece: float32 or float64.
        dtype: What the products will be computed in; the piece's own by default.

    Example:
        >>> first_out_of_range(torch.tensor([[0.0], [1e-20]])), first_out_of_range(torch.eye(2))
        (1, None)
    """
    most = _LARGEST[dtype or piece.dtype]
    largest = torch.maximum(piece.amax(dim=1), -piece.amin(dim=1))
    outside = (largest > most) | ((largest < 1.0 / most) & (largest > 0.0))
    return int(outside.nonzero()[0]) if bool(outside.any()) else None


def out_of_range(row: Tensor, what: str) -> str:
    """Return what to say of a row that :func:`first_out_of_range` found."""
    return (
        f"{what} has a largest number of {float(row.abs().max()):.3g}; products of such numbers "
        "overflow or vanish. Compare by cosine, or scale the tables."
    )


_LARGEST = {torch.float32: 1e15, torch.float64: 1e140}


def read_pair(
    query: Any, gallery: Any, what: str, *, any_scale: bool = True
) -> tuple[Tensor, Tensor]:
    """Return two tables in memory that ``what`` can compare, in one type.

    Args:
        query: ``[Q, D]``.
        gallery: ``[G, D]``.
        what: Who compares them, for messages.
        any_scale: They will be normalised; otherwise what overflows is refused.

    Returns:
        Both float32, or both float64 where one of them is.

    Raises:
        DataError: If one is empty or no matrix of real numbers, their widths or devices differ, or
            a number is not finite or out of range.

    Example:
        >>> [piece.dtype for piece in read_pair(torch.eye(2), torch.eye(2).double(), "a search")]
        [torch.float64, torch.float64]
    """
    pair = [read_embeddings(query, "query"), read_embeddings(gallery, "gallery")]
    shapes = " and ".join(str(list(table.shape)) for table in pair)
    if pair[0].shape[1] != pair[1].shape[1]:
        raise DataError(f"{what} needs queries [Q, D] and a gallery [G, D], got {shapes}.")
    if not all(map(len, pair)):
        raise DataError(f"{what} needs a query and a gallery image, got {shapes}.")
    check_devices(pair[0].device, pair[1].device)
    pair = [computable(table) for table in pair]
    dtype = torch.promote_types(pair[0].dtype, pair[1].dtype)
    for name, table in zip(("query", "gallery"), pair, strict=True):
        if (row := first_not_finite(table)) is not None:
            raise DataError(f"the embedding of {name} row {row} is not finite.")
        if not any_scale and (row := first_out_of_range(table)) is not None:
            raise DataError(out_of_range(table[row], f"the embedding of {name} row {row}"))
    return pair[0].to(dtype), pair[1].to(dtype)


def check_devices(query: torch.device, gallery: torch.device) -> None:
    """Refuse tables on two devices.

    Raises:
        DataError: Names both.
    """
    if query != gallery:
        raise DataError(
            f"the query embeddings are on {query} and the gallery embeddings on {gallery}; move "
            "them to one device."
        )


def compared(query: Tensor | Rows, gallery: Tensor | Rows) -> tuple[Rows, Rows]:
    """Return two tables whose rows can be compared by inner product.

    Raises:
        DataError: If one is empty, or their widths or devices differ.
    """
    left = Table(query, "query") if isinstance(query, Tensor) else query
    right = Table(gallery, "gallery") if isinstance(gallery, Tensor) else gallery
    if left.shape[1] != right.shape[1]:
        raise DataError(
            f"query embeddings have {left.shape[1]} numbers, gallery embeddings {right.shape[1]}; "
            "they come from different models."
        )
    check_devices(left.device, right.device)
    return left, right
