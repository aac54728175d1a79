"""Ranking a gallery of any size for every query, tile by tile.

Queries and gallery are ordered by label, so the relevant items of a query are a slice of its
similarities. Blocks of queries meet tiles of the gallery in matrix products of one fixed shape, and
each product is counted while it is in the cache. First the products that hold relevant items give
the thresholds, and are kept for counting while there is room; then the others are computed and
counted. So the memory is that of a few tiles and of the counts, or what is allowed, and every
similarity is computed by the same operations in the same order, whatever the memory, the order of
the rows or the number of processes.
"""

# Shape letters: Q = queries, G = gallery, D = embedding, B = queries in a block, N = items in a
# tile, M = most relevant items of any query in the block

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from lookalike.retrieval.blocks import Block, GalleryFacts, QueryFacts, read_facts
from lookalike.retrieval.products import BLOCK, TILE, Given, Products, Tile, blocks_by_label
from lookalike.retrieval.ranks import RelevantRanks
from lookalike.retrieval.rows import Rows, compared

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

    Embeddings are compared as they are: scale them to length one (:func:`lookalike.geometry.unit`)
    if cosine is meant, as :func:`evaluate_retrieval` does by itself. They are multiplied in
    float64 if one of the tables is float64, in float32 otherwise.

    Args:
        query: ``[Q, D]`` of a real type.
        gallery: ``[G, D]`` of a real type.
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
        DataError: If a table is empty, the parts do not fit each other, or an embedding is not
            finite or so large or small that products overflow or vanish; names its row.
        ValueError: If ``share`` is impossible.
    """
    queries, items = compared(query, gallery)
    about, facts = read_facts(
        *(queries.shape[0], items.shape[0], query_labels, gallery_labels),
        *(query_cameras, gallery_cameras, query_ids, gallery_ids),
    )
    products = (
        Products(queries, items, facts)
        if similarity is None
        else Given(similarity, facts, queries.device)
    )
    blocks = _blocks(about.labels, share)
    parts: list[RelevantRanks] = []
    width = queries.shape[1]
    for some in _within(memory, blocks, facts, about, width):
        held = [Block(rows, about, facts, products.embed(rows)) for rows in some]
        room = memory - sum(_block_bytes(width, block.most) for block in held)
        for tile in products.tiles([block.reach for block in held]):
            for block in held:
                if block.meets(tile.start, tile.stop):
                    _first_look(block, tile, products, held, room // (4 * BLOCK * TILE))
        for block in held:
            if block.thresholds is None:
                block.settle()
        for tile in products.tiles([gap for block in held for gap in block.missing]):
            for block in held:
                if block.most and tile.start not in block.counted:
                    block.count(products.product(block.embeddings, tile), tile.start, tile.stop)
        parts += [block.ranks() for block in held]
    return RelevantRanks.joined(parts, blocks)


def _block_bytes(width: int, most: int) -> int:
    """Return the bytes of the embeddings, thresholds, counts and equals of a block."""
    return BLOCK * (4 * width + 24 * most)


def _first_look(
    block: Block, tile: Tile, products: Products | Given, held: Sequence[Block], most: int
) -> None:
    """Take the thresholds from a product; keep it, if there is room, until they can be counted.

    A product that is kept need not be computed again.
    """
    complete = block.reach[1] <= tile.stop
    keep = not complete and sum(len(other.kept) for other in held) < most
    product = products.product(block.embeddings, tile, fresh=keep)
    block.note(product, tile.start, tile.stop)
    if complete:
        block.settle()
        block.count(product, tile.start, tile.stop)
        block.count_kept()
    elif keep:
        block.kept[tile.start] = (product, tile.stop)


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
    if not 0 <= number < of:
        raise ValueError(f"share is (number, of) with 0 <= number < of, got {share}.")
    return blocks_by_label(labels)[number::of]


def _within(
    memory: int, blocks: Sequence[Tensor], facts: GalleryFacts, about: QueryFacts, width: int
) -> Iterator[list[Tensor]]:
    """Yield as many blocks at a time as fit into the memory; at least one."""
    some: list[Tensor] = []
    used = 0
    for rows in blocks:
        _, counts = facts.slices(about.labels[rows])
        most = int(counts.max()) if len(counts) else 0
        need = _block_bytes(width, most)
        if some and used + need > memory:
            yield some
            some, used = [], 0
        some.append(rows)
        used += need
    if some:
        yield some
