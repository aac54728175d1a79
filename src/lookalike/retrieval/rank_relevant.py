"""Ranking a gallery of any size for every query, tile by tile.

Queries and gallery are ordered by label, so the relevant items of a query are a slice of its
similarities. Blocks of queries meet tiles of the gallery in matrix products of one fixed shape, and
each product is counted while it is in the cache. First the products that hold relevant items give
the thresholds, then all products are counted. So the memory is that of a few tiles and of the
counts, and every similarity is computed by the same operations in the same order, whatever the
memory allowed, the order of the rows or the number of processes.
"""

# Shape letters: Q = queries, G = gallery, D = embedding, B = queries in a block, N = items in a
# tile, M = most relevant items of any query in the block

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from lookalike.retrieval.blocks import Block, GalleryFacts, QueryFacts
from lookalike.retrieval.ranks import RelevantRanks
from lookalike.retrieval.rows import Rows, Table

BLOCK, TILE = 256, 4096
MEMORY = 1_000_000_000


def rank_relevant(
    query: Tensor | Rows,
    gallery: Tensor | Rows,
    query_labels: Tensor,
    gallery_labels: Tensor,
    *,
    query_cameras: Tensor | None = None,
    gallery_cameras: Tensor | None = None,
    query_ids: Tensor | None = None,
    gallery_ids: Tensor | None = None,
    similarity: Callable[[Tensor], Tensor] | None = None,
    memory: int = MEMORY,
    share: tuple[int, int] = (0, 1),
) -> RelevantRanks:
    """Rank the gallery for every query by inner product.

    Args:
        query: ``[Q, D]`` float; normalise first if cosine is meant.
        gallery: ``[G, D]`` float.
        query_labels: ``[Q]`` int64. An item is relevant if its label is the query's.
        gallery_labels: ``[G]`` int64.
        query_cameras: ``[Q]`` int64. Items with the query's label and camera are excluded.
        gallery_cameras: ``[G]`` int64.
        query_ids: ``[Q]`` int64. Items with the query's id (the image itself) are excluded.
        gallery_ids: ``[G]`` int64.
        similarity: Takes rows of queries, ``[B]``, and returns what to rank the gallery by,
            ``[B, G]``, in place of the inner products.
        memory: Bytes to use beside the tables, at least those of one block of queries; the result
            does not depend on it.
        share: ``(number, of)``: rank only the queries of :func:`shared_rows`, as one of several
            processes; :meth:`RelevantRanks.joined` puts the parts together.

    Raises:
        DataError: If a table is empty or an embedding is not finite; names its row.
    """
    queries = Table(query, "query") if isinstance(query, Tensor) else query
    items = Table(gallery, "gallery") if isinstance(gallery, Tensor) else gallery
    facts = GalleryFacts.sorted_by_label(gallery_labels, gallery_cameras, gallery_ids)
    about = QueryFacts.of(query_labels, query_cameras, query_ids)
    products = (
        _Products(queries, items, facts)
        if similarity is None
        else _Given(similarity, facts, queries.device)
    )
    blocks = _blocks(query_labels, share)
    parts: list[RelevantRanks] = []
    for some in _within(memory, blocks, facts, about, queries.shape[1]):
        held = [Block(rows, about, facts, products.embed(rows)) for rows in some]
        for tile in products.tiles([block.reach for block in held]):
            for block in held:
                if block.meets(tile.start, tile.stop):
                    block.note(products.product(block.embeddings, tile), tile.start, tile.stop)
        for block in held:
            block.settle()
        for tile in products.tiles(None):
            for block in held:
                if block.most:
                    block.count(products.product(block.embeddings, tile), tile.start, tile.stop)
        parts += [block.ranks() for block in held]
    return RelevantRanks.joined(parts, blocks)


def shared_rows(query_labels: Tensor, share: tuple[int, int]) -> Tensor:
    """Return the queries that one of several processes ranks, in the order of its result.

    Example:
        >>> shared_rows(torch.tensor([5, 3, 5]), (0, 1))
        tensor([0, 1, 2])
    """
    blocks = _blocks(query_labels, share)
    return torch.cat(blocks).sort().values if blocks else torch.arange(0)


def _blocks(labels: Tensor, share: tuple[int, int]) -> list[Tensor]:
    """Cut the queries, ordered by label, into blocks; each process takes every n-th."""
    number, of = share
    order = torch.argsort(labels.cpu(), stable=True)
    return list(torch.split(order, BLOCK))[number::of]


def _within(
    memory: int, blocks: Sequence[Tensor], facts: GalleryFacts, about: QueryFacts, width: int
) -> Iterator[list[Tensor]]:
    """Yield as many blocks at a time as fit into the memory; at least one."""
    some: list[Tensor] = []
    used = 0
    for rows in blocks:
        _, counts = facts.slices(about.labels[rows])
        most = int(counts.max()) if len(counts) else 0
        # the embeddings; thresholds, counts and equals
        need = BLOCK * (4 * width + 24 * most)
        if some and used + need > memory:
            yield some
            some, used = [], 0
        some.append(rows)
        used += need
    if some:
        yield some


class _Tile:
    """Items ``start`` to ``stop`` of the ordered gallery, padded to the fixed shape."""

    def __init__(self, start: int, stop: int, embeddings: Tensor) -> None:
        self.start, self.stop, self.embeddings = start, stop, embeddings


class _Products:
    """Inner products of blocks with tiles, all in one shape."""

    def __init__(self, queries: Rows, items: Rows, facts: GalleryFacts) -> None:
        self.queries, self.items, self.facts = queries, items, facts
        self.rows = _padded(queries.shape[0], BLOCK)
        self.columns = _padded(items.shape[0], TILE)
        self.buffer: Tensor | None = None

    def embed(self, rows: Tensor) -> Tensor:
        """Return the embeddings of a block, padded with zeros to the fixed number of rows."""
        return _pad(self.queries.take(rows), self.rows)

    def tiles(self, reaches: Sequence[tuple[int, int]] | None) -> Iterator[_Tile]:
        """Yield the tiles that one of the column ranges reaches into; all tiles for None."""
        total = len(self.facts.labels)
        for start in range(0, total, self.columns):
            stop = min(start + self.columns, total)
            if reaches is None or any(a < stop and b > start for a, b in reaches):
                piece = self.items.take(self.facts.order[start:stop])
                yield _Tile(start, stop, _pad(piece, self.columns))

    def product(self, block: Tensor, tile: _Tile) -> Tensor:
        """Return ``[B, N]``; the next call overwrites it."""
        if self.buffer is None:
            self.buffer = block.new_empty(self.rows, self.columns)
        return torch.mm(block, tile.embeddings.T, out=self.buffer)


class _Given:
    """Similarities from a function, a whole row at a time."""

    def __init__(
        self, similarity: Callable[[Tensor], Tensor], facts: GalleryFacts, device: torch.device
    ) -> None:
        self.similarity, self.facts, self.device = similarity, facts, device

    def embed(self, rows: Tensor) -> Tensor:
        """Return the numbers of the queries, which the function takes."""
        return rows.to(self.device)

    def tiles(self, reaches: Sequence[tuple[int, int]] | None) -> Iterator[_Tile]:
        """Yield the whole gallery."""
        yield _Tile(0, len(self.facts.labels), torch.empty(0))

    def product(self, block: Tensor, tile: _Tile) -> Tensor:
        """Return ``[B, G]`` in the order of the labels."""
        return self.similarity(block)[:, self.facts.order.to(self.device)].contiguous()


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
