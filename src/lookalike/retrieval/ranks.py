"""At which rank of each query its relevant items stand.

Every retrieval metric is a function of these ranks alone, so nothing is sorted but the handful of
relevant similarities of a query: the rank of a relevant item is one plus the number of items that
beat it, and that is counted. Excluded items (the query's own image, its own camera) are removed;
they take no rank.
"""

# Shape letters: Q = queries, G = gallery, B = queries in a block, M = most relevant items of any
# query in the block

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lookalike.errors import DataError

BLOCK_ELEMENTS = 8_000_000


@dataclass(frozen=True)
class RelevantRanks:
    """The ranks, from 1, of the relevant items of each query.

    Ties are settled against the query: an irrelevant item with the same similarity stands before
    the relevant one, so a model that maps every image to one point scores as badly as it is.

    Attributes:
        ranks: ``[T]`` int64; the ranks of query 0 in rising order, then those of query 1, ...
        counts: ``[Q]`` int64; how many ranks each query has. 0 means it cannot be answered.
        num_candidates: ``[Q]`` int64; gallery items left after exclusions.
    """

    ranks: Tensor
    counts: Tensor
    num_candidates: Tensor

    @property
    def starts(self) -> Tensor:
        """``[Q]``: where each query's ranks begin."""
        return self.counts.cumsum(0) - self.counts

    @property
    def query(self) -> Tensor:
        """``[T]``: the query each rank belongs to."""
        return torch.repeat_interleave(torch.arange(len(self.counts)), self.counts)


def rank_relevant(
    query: Tensor,
    gallery: Tensor,
    query_labels: Tensor,
    gallery_labels: Tensor,
    *,
    query_cameras: Tensor | None = None,
    gallery_cameras: Tensor | None = None,
    query_ids: Tensor | None = None,
    gallery_ids: Tensor | None = None,
    similarity: Callable[[Tensor], Tensor] | None = None,
    block_elements: int = BLOCK_ELEMENTS,
) -> RelevantRanks:
    """Rank the gallery for every query by inner product, in blocks of queries.

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
        block_elements: Similarities held at a time; the result does not depend on it.

    Raises:
        DataError: If a table is empty or an embedding is not finite; names its row.
    """
    check_embeddings(query, "query")
    check_embeddings(gallery, "gallery")
    order = torch.argsort(gallery_labels, stable=True)
    block = _SortedGallery(
        gallery[order],
        gallery_labels[order].contiguous(),
        None if gallery_cameras is None else gallery_cameras[order],
        None if gallery_ids is None else gallery_ids[order],
    )
    _, counts = block.slices(query_labels)

    def in_order(rows: Tensor) -> Tensor:
        if similarity is None:
            return query[rows] @ block.embeddings.T
        return similarity(rows)[:, order]

    pieces: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for rows in _blocks(counts, len(gallery), block_elements):
        pieces.append(
            block.rank(
                rows,
                in_order(rows),
                query_labels[rows],
                None if query_cameras is None else query_cameras[rows],
                None if query_ids is None else query_ids[rows],
            )
        )
    return _assemble(pieces, len(query))


def ranks_from_similarity(
    similarity: Tensor, query_labels: Tensor, gallery_labels: Tensor, keep: Tensor | None = None
) -> RelevantRanks:
    """Rank from a ready similarity matrix ``[Q, G]``; ``keep`` is False for excluded pairs.

    Example:
        >>> s = torch.tensor([[0.9, 0.1, 0.5]])
        >>> ranks_from_similarity(s, torch.tensor([1]), torch.tensor([1, 2, 1])).ranks
        tensor([1, 2])
    """
    relevant = query_labels.reshape(-1, 1) == gallery_labels.reshape(1, -1)
    keep = torch.ones_like(relevant) if keep is None else keep.bool()
    return rank_among(similarity, relevant & keep, keep)


def rank_among(similarity: Tensor, relevant: Tensor, keep: Tensor) -> RelevantRanks:
    """Rank the relevant items among those kept; all three are ``[Q, G]``.

    Example:
        >>> relevant = torch.tensor([[False, True, False]])
        >>> rank_among(torch.tensor([[0.9, 0.1, 0.5]]), relevant, torch.ones(1, 3).bool()).ranks
        tensor([3])
    """
    others = similarity.masked_fill(relevant | ~keep, float("-inf"))
    num_relevant = relevant.sum(dim=1)
    scores = similarity.masked_fill(~relevant, float("inf"))
    thresholds = scores.sort(dim=1).values[:, : int(num_relevant.max())]
    return RelevantRanks(_count(others, thresholds, num_relevant), num_relevant, keep.sum(dim=1))


def check_embeddings(embeddings: Tensor, what: str) -> None:
    """Refuse a table that cannot be ranked.

    Raises:
        DataError: If it is empty or an embedding is not finite; names its row.
    """
    if embeddings.ndim != 2 or len(embeddings) == 0:
        raise DataError(f"the {what} needs embeddings [N, D], got {list(embeddings.shape)}.")
    finite = torch.isfinite(embeddings).all(dim=1)
    if not finite.all():
        row = int((~finite).nonzero()[0])
        raise DataError(
            f"the embedding of {what} row {row} is not finite ({int((~finite).sum())} such rows); "
            "metrics of such a table would mean nothing."
        )


def _blocks(counts: Tensor, num_gallery: int, elements: int) -> Iterator[Tensor]:
    """Cut the queries into blocks of like numbers of relevant items."""
    size = max(1, elements // max(1, num_gallery))
    yield from torch.split(torch.argsort(counts, stable=True), size)


@dataclass(frozen=True)
class _SortedGallery:
    """A gallery ordered by label, so that the items of a label are a slice."""

    embeddings: Tensor
    labels: Tensor
    cameras: Tensor | None
    ids: Tensor | None

    def slices(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return where the items of each label begin, and how many they are."""
        first = torch.searchsorted(self.labels, labels)
        return first, torch.searchsorted(self.labels, labels, right=True) - first

    @cached_property
    def by_id(self) -> Tensor:
        assert self.ids is not None
        return torch.argsort(self.ids)

    def rank(
        self,
        rows: Tensor,
        similarity: Tensor,
        labels: Tensor,
        cameras: Tensor | None,
        ids: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return (rows, number of relevant items, their ranks, candidates) of a block."""
        first, count = self.slices(labels)
        offsets = torch.arange(int(count.max()), device=similarity.device)
        columns = (first[:, None] + offsets).clamp_max(similarity.shape[1] - 1)
        own = offsets < count[:, None]  # [B, M]
        scores = similarity.gather(1, columns)
        relevant = own.clone()
        if cameras is not None and self.cameras is not None:
            relevant &= self.cameras[columns] != cameras[:, None]
        if ids is not None and self.ids is not None:
            relevant &= self.ids[columns] != ids[:, None]
        excluded = own.sum(dim=1) - relevant.sum(dim=1)
        at_row, at = own.nonzero(as_tuple=True)
        similarity[at_row, columns[at_row, at]] = float("-inf")
        if ids is not None and self.ids is not None:
            excluded = excluded + self._drop_mislabelled_self(similarity, labels, ids)
        num_relevant = relevant.sum(dim=1)
        thresholds = scores.masked_fill(~relevant, float("inf")).sort(dim=1).values
        ranks = _count(similarity, thresholds, num_relevant)
        return rows, num_relevant, ranks, similarity.shape[1] - excluded

    def _drop_mislabelled_self(self, similarity: Tensor, labels: Tensor, ids: Tensor) -> Tensor:
        """Exclude the query's own image where the gallery lists it under another label."""
        assert self.ids is not None
        place = torch.searchsorted(self.ids[self.by_id], ids).clamp_max(len(self.ids) - 1)
        column = self.by_id[place]
        mislabelled = (self.ids[column] == ids) & (self.labels[column] != labels)
        rows = mislabelled.nonzero(as_tuple=True)[0]
        similarity[rows, column[rows]] = float("-inf")
        return mislabelled.long()


def _count(others: Tensor, thresholds: Tensor, num_relevant: Tensor) -> Tensor:
    """Return the ranks of all relevant items of a block, query by query, best first.

    Args:
        others: ``[B, G]`` similarities, -inf where the item is relevant or excluded.
        thresholds: ``[B, M]`` relevant similarities in rising order, +inf behind the last.
        num_relevant: ``[B]``.
    """
    num_rows, most = thresholds.shape
    if most == 0:
        return torch.empty(0, dtype=torch.int64)
    # how many thresholds an item reaches; those it equals count, which settles ties against us
    reached = torch.searchsorted(thresholds.contiguous(), others.contiguous(), right=True)
    reached += torch.arange(num_rows, device=others.device)[:, None] * (most + 1)
    histogram = torch.bincount(reached.flatten(), minlength=num_rows * (most + 1))
    histogram = histogram.view(num_rows, most + 1)[:, 1:]
    beaten_by = histogram.flip(1).cumsum(1)  # [B, M], best threshold first, after the pads
    # best first: the pads (+inf) come first in the flipped order; cut them off per row
    position = torch.arange(most, device=others.device)
    is_real = position >= (most - num_relevant)[:, None]
    place = position - (most - num_relevant)[:, None] + 1
    return (beaten_by + place)[is_real]


def _assemble(
    pieces: list[tuple[Tensor, Tensor, Tensor, Tensor]], num_queries: int
) -> RelevantRanks:
    """Put the blocks back into the order of the queries."""
    rows = torch.cat([piece[0] for piece in pieces]).cpu()
    counts = torch.cat([piece[1] for piece in pieces]).cpu()
    ranks = torch.cat([piece[2] for piece in pieces]).cpu()
    candidates = torch.cat([piece[3] for piece in pieces]).cpu()
    back = torch.argsort(rows)
    starts = counts.cumsum(0) - counts
    in_order = counts[back]
    within = torch.arange(int(counts.sum())) - torch.repeat_interleave(
        in_order.cumsum(0) - in_order, in_order
    )
    source = torch.repeat_interleave(starts[back], in_order) + within
    assert len(rows) == num_queries
    return RelevantRanks(ranks[source], in_order, candidates[back])
