"""A block of queries on its way through the gallery: thresholds first, then counts."""

# Shape letters: B = queries in a block, N = items in a tile, M = most relevant items of any query

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lookalike.errors import DataError
from lookalike.retrieval.counting import Thresholds, count_tile
from lookalike.retrieval.ranks import RelevantRanks
from lookalike.table_parts import read_integers


def read_facts(
    num_queries: int,
    num_items: int,
    query_labels: Tensor,
    gallery_labels: Tensor,
    query_cameras: Tensor | None,
    gallery_cameras: Tensor | None,
    query_ids: Tensor | None,
    gallery_ids: Tensor | None,
) -> tuple[QueryFacts, GalleryFacts]:
    """Check what is known of two tables.

    Args:
        num_queries: Q.
        num_items: G.
        query_labels: ``[Q]`` whole numbers.
        gallery_labels: ``[G]`` whole numbers.
        query_cameras: ``[Q]`` whole numbers.
        gallery_cameras: ``[G]`` whole numbers.
        query_ids: ``[Q]`` whole numbers.
        gallery_ids: ``[G]`` whole numbers.

    Raises:
        DataError: If one has the wrong type or length, or is given for one side only.
    """
    sides = (num_queries, "query"), (num_items, "gallery")
    given = {
        "labels": (query_labels, gallery_labels),
        "cameras": (query_cameras, gallery_cameras),
        "ids": (query_ids, gallery_ids),
    }
    read: list[list[Tensor | None]] = [[], []]
    for what, pair in given.items():
        if (pair[0] is None) != (pair[1] is None):
            raise DataError(f"{what} are given for one side only; the other side needs them too.")
        for (number, side), values, facts in zip(sides, pair, read, strict=True):
            known = None if values is None else read_integers(values, number, f"{side} {what}")
            facts.append(known)
    (labels, *rest), (others, *more) = read
    assert labels is not None
    assert others is not None
    return QueryFacts(labels, *rest), GalleryFacts.sorted_by_label(others, *more)


@dataclass(frozen=True)
class QueryFacts:
    """What is known of the queries, ``[Q]`` each: labels, cameras, ids of the images."""

    labels: Tensor
    cameras: Tensor | None
    ids: Tensor | None


@dataclass(frozen=True)
class GalleryFacts:
    """What is known of the gallery, ordered by label, so that the items of a label are a slice.

    Attributes:
        order: ``[G]``: the row of each item in the table.
        labels: ``[G]``, rising.
        cameras: ``[G]``.
        ids: ``[G]``.
    """

    order: Tensor
    labels: Tensor
    cameras: Tensor | None
    ids: Tensor | None

    @staticmethod
    def sorted_by_label(labels: Tensor, cameras: Tensor | None, ids: Tensor | None) -> GalleryFacts:
        """Order the facts of a gallery."""
        order = torch.argsort(labels, stable=True)
        rest = (None if x is None else x[order] for x in (cameras, ids))
        return GalleryFacts(order, labels[order].contiguous(), *rest)

    def slices(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return where the items of each label begin, and how many they are."""
        first = torch.searchsorted(self.labels, labels)
        return first, torch.searchsorted(self.labels, labels, right=True) - first

    @cached_property
    def _by_id(self) -> tuple[Tensor, Tensor]:
        assert self.ids is not None
        order = torch.argsort(self.ids, stable=True)
        return order, self.ids[order]

    def mislabelled(self, labels: Tensor, ids: Tensor | None) -> Tensor:
        """Return the column of each query's own image where it has another label; else -1."""
        if ids is None or self.ids is None:
            return torch.full_like(labels, -1)
        order, sorted_ids = self._by_id
        column = order[torch.searchsorted(sorted_ids, ids).clamp_max(len(order) - 1)]
        other = (self.ids[column] == ids) & (self.labels[column] != labels)
        return torch.where(other, column, -1)


class Block:
    """Up to B queries.

    Args:
        rows: ``[b]``, their numbers.
        queries: Facts of all queries.
        gallery: Facts of the gallery.
        embeddings: What the products are made of, ``[B, D]``.

    Attributes:
        kept: Where a tile starts, to its product and its end: products that wait to be counted.
        counted: Where a tile starts, to its end: what is counted.
    """

    def __init__(
        self, rows: Tensor, queries: QueryFacts, gallery: GalleryFacts, embeddings: Tensor
    ) -> None:
        self.embeddings, self.gallery = embeddings, gallery
        labels = queries.labels[rows]
        self.cameras = None if queries.cameras is None else queries.cameras[rows]
        self.ids = None if queries.ids is None else queries.ids[rows]
        self.first, own = gallery.slices(labels)
        self.last = self.first + own
        self.skipped = gallery.mislabelled(labels, self.ids)
        self.most = int(own.max())
        self.relevant = self._relevant(own)
        self.counts = self.relevant.sum(dim=1)
        self.candidates = len(gallery.labels) - (own - self.counts) - (self.skipped >= 0).long()
        self.noted = torch.full((len(rows), self.most), torch.inf)
        self.thresholds: Thresholds | None = None
        self.kept: dict[int, tuple[Tensor, int]] = {}
        self.counted: dict[int, int] = {}

    @cached_property
    def reach(self) -> tuple[int, int]:
        """The columns that the block's own items lie in."""
        some = self.last > self.first
        if not some.any():
            return 0, 0
        return int(self.first[some].min()), int(self.last.max())

    def _relevant(self, own: Tensor) -> Tensor:
        """Return ``[b, M]``: which of a query's own items are not excluded."""
        columns, real = self._columns(own)
        cameras, ids = self.gallery.cameras, self.gallery.ids
        if self.cameras is not None and cameras is not None:
            real &= cameras[columns] != self.cameras[:, None]
        if self.ids is not None and ids is not None:
            real &= ids[columns] != self.ids[:, None]
        return real

    def _columns(self, own: Tensor) -> tuple[Tensor, Tensor]:
        offsets = torch.arange(self.most)
        columns = (self.first[:, None] + offsets).clamp_max(len(self.gallery.labels) - 1)
        return columns, offsets < own[:, None]

    def meets(self, start: int, stop: int) -> bool:
        """Tell whether an item of the block's own lies in these columns."""
        return bool(((self.first < stop) & (self.last > start)).any())

    def left_out(self, start: int, stop: int) -> Tensor:
        """Return ``[b, N]``: which items of these columns are no others of the queries."""
        columns = torch.arange(start, stop)
        own = (columns >= self.first[:, None]) & (columns < self.last[:, None])
        return own | (columns == self.skipped[:, None])

    def count_kept(self) -> None:
        """Count the products that were kept for this, and let them go."""
        for start, (product, stop) in self.kept.items():
            self.count(product, start, stop)
        self.kept.clear()

    @property
    def missing(self) -> list[tuple[int, int]]:
        """The columns that are still to be counted."""
        total = len(self.gallery.labels)
        edges = [0, *(edge for tile in sorted(self.counted.items()) for edge in tile), total]
        gaps = zip(edges[::2], edges[1::2], strict=True)
        return [(start, stop) for start, stop in gaps if start < stop and self.most]

    def note(self, product: Tensor, start: int, stop: int) -> None:
        """Take the similarities of the relevant items from a tile."""
        columns, _ = self._columns(self.last - self.first)
        here = self.relevant & (columns >= start) & (columns < stop)
        row, place = here.nonzero(as_tuple=True)
        at = (row.to(product.device), (columns[row, place] - start).to(product.device))
        self.noted = self.noted.to(product.dtype)
        self.noted[row, place] = product[at].cpu()

    def settle(self) -> None:
        """Sort the thresholds; counting may begin."""
        device = self.embeddings.device
        values = self.noted.sort(dim=1).values[:, : int(self.counts.max())]
        self.thresholds = Thresholds.of(values.to(device), self.counts.to(device))
        self.most = values.shape[1]

    def count(self, product: Tensor, start: int, stop: int) -> None:
        """Count the items of a tile."""
        assert self.thresholds is not None
        device = product.device
        own = ((self.first - start).to(device), (self.last - start).to(device))
        skipped = torch.where(self.skipped < 0, -1, self.skipped - start).to(device)
        count_tile(product, self.thresholds, own, skipped, width=stop - start)
        self.counted[start] = stop

    def ranks(self) -> RelevantRanks:
        """Return what stands before the relevant items."""
        assert self.thresholds is not None
        above, tied = self.thresholds.ragged()
        return RelevantRanks(above.cpu(), tied.cpu(), self.counts, self.candidates)
