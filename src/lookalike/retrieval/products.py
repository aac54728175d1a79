"""Similarities of blocks of queries with tiles of the gallery."""

# Shape letters: B = queries in a block, N = items in a tile, D = embedding

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from lookalike.errors import DataError
from lookalike.geometry import at_least_float32
from lookalike.place import moved
from lookalike.retrieval.blocks import GalleryFacts
from lookalike.retrieval.rows import Rows, first_not_finite, first_out_of_range, out_of_range

BLOCK, TILE = 256, 4096


def blocks_by_label(labels: Tensor) -> list[Tensor]:
    """Cut the queries, ordered by label, into blocks; return the rows of each."""
    return list(torch.split(torch.argsort(labels.cpu(), stable=True), BLOCK))


class Tile:
    """Items ``start`` to ``stop`` of the ordered gallery, padded to the fixed shape."""

    def __init__(self, start: int, stop: int, embeddings: Tensor) -> None:
        self.start, self.stop, self.embeddings = start, stop, embeddings


class Products:
    """Inner products of blocks with tiles, all in one shape."""

    def __init__(self, queries: Rows, items: Rows, facts: GalleryFacts) -> None:
        self.queries, self.items, self.facts = queries, items, facts
        self.rows = _padded(queries.shape[0], BLOCK)
        self.columns = _padded(items.shape[0], TILE)
        self.buffer: Tensor | None = None

    def embed(self, rows: Tensor) -> Tensor:
        """Return the embeddings of a block, padded with zeros to the fixed number of rows."""
        return _pad(_taken(self.queries, rows, "query"), self.rows)

    def tiles(self, reaches: Sequence[tuple[int, int]] | None) -> Iterator[Tile]:
        """Yield the tiles that one of the column ranges reaches into; all tiles for None."""
        total = len(self.facts.labels)
        for start in range(0, total, self.columns):
            stop = min(start + self.columns, total)
            if reaches is None or any(a < stop and b > start for a, b in reaches):
                moved()
                piece = _taken(self.items, self.facts.order[start:stop], "gallery")
                yield Tile(start, stop, _pad(piece, self.columns))

    def product(self, block: Tensor, tile: Tile, *, fresh: bool = False) -> Tensor:
        """Return ``[B, N]``; the next call overwrites it, unless it is to be a fresh one."""
        items = tile.embeddings
        if block.dtype != items.dtype:
            # one of the tables is float64, and float32 widens to it without loss
            block, items = block.double(), items.double()
        if fresh:
            return torch.mm(block, items.T)
        if self.buffer is None:
            self.buffer = block.new_empty(self.rows, self.columns)
        return torch.mm(block, items.T, out=self.buffer)


def _taken(table: Rows, rows: Tensor, what: str) -> Tensor:
    """Return rows of a table of any kind, whose products neither overflow nor vanish."""
    piece = table.take(rows)
    if (place := first_out_of_range(piece)) is not None:
        raise DataError(
            out_of_range(piece[place], f"the embedding of {what} row {int(rows[place])}")
        )
    return piece


class GalleryProducts:
    """Inner products of blocks of queries with a gallery in memory, in the order of its rows.

    Args:
        gallery: ``[G, D]``.
        num_queries: In all blocks together; a small number makes small tiles.

    Example:
        >>> products = GalleryProducts(torch.eye(2), 1)
        >>> [(start, tile.tolist()) for start, tile in products.of(torch.eye(2))]
        [(0, [[1.0, 0.0], [0.0, 1.0]])]
    """

    def __init__(self, gallery: Tensor, num_queries: int) -> None:
        self.gallery = gallery.contiguous()
        self.rows = _padded(num_queries, BLOCK)
        self.columns = _padded(len(gallery), TILE)
        self.buffer = gallery.new_empty(self.rows, self.columns)

    def of(self, block: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Yield where a tile starts, and its products ``[B, N]``, overwritten by the next.

        Args:
            block: ``[B, D]``, at most ``rows`` of them.
        """
        padded = _pad(block, self.rows)
        for start in range(0, len(self.gallery), self.columns):
            moved()
            piece = self.gallery[start : start + self.columns]
            torch.mm(padded, _pad(piece, self.columns).T, out=self.buffer)
            yield start, self.buffer[: len(block), : len(piece)]


class Given:
    """Similarities from a function, a whole row at a time."""

    def __init__(
        self, similarity: Callable[[Tensor], Tensor], facts: GalleryFacts, device: torch.device
    ) -> None:
        self.similarity, self.facts, self.device = similarity, facts, device

    def embed(self, rows: Tensor) -> Tensor:
        """Return the numbers of the queries, which the function takes."""
        return rows.to(self.device)

    def tiles(self, reaches: Sequence[tuple[int, int]] | None) -> Iterator[Tile]:
        """Yield the whole gallery."""
        yield Tile(0, len(self.facts.labels), torch.empty(0))

    def product(self, block: Tensor, tile: Tile, *, fresh: bool = False) -> Tensor:
        """Return ``[B, G]`` in the order of the labels; always a fresh one.

        Raises:
            DataError: If the function returns another shape or numbers that are not finite.
        """
        found = self.similarity(block).detach()
        expected = [len(block), len(self.facts.labels)]
        if list(found.shape) != expected or not found.dtype.is_floating_point:
            given = f"{str(found.dtype).removeprefix('torch.')} {list(found.shape)}"
            raise DataError(f"similarity must return floating {expected}, got {given}.")
        found = at_least_float32(found)
        if (row := first_not_finite(found)) is not None:
            raise DataError(f"the similarities of query {int(block[row])} are not finite.")
        return found[:, self.facts.order.to(found.device)].contiguous()


def _padded(number: int, most: int) -> int:
    """Return the fixed size for so many rows: a power of two, at most ``most``.

    Example:
        >>> _padded(3, 256), _padded(40, 256), _padded(999, 256)
        (16, 64, 256)
    """
    size = 16
    while size < min(number, most):
        size *= 2
    return size


def _pad(piece: Tensor, rows: int) -> Tensor:
    """Return a piece with rows of zeros behind it."""
    if len(piece) == rows:
        return piece.contiguous()
    padded = piece.new_zeros(rows, piece.shape[1])
    padded[: len(piece)] = piece
    return padded
