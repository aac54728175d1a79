"""At which rank of each query its relevant items stand.

Every retrieval metric is a function of these ranks alone, so nothing is sorted but the handful of
relevant similarities of a query: the rank of a relevant item is one plus the number of items that
beat it, and that is counted. Excluded items (the query's own image, its own camera) are removed;
they take no rank.
"""

# Shape letters: Q = queries, G = gallery, T = relevant items of all queries

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from lookalike.errors import DataError
from lookalike.retrieval.counting import Thresholds, count_tile
from lookalike.retrieval.rows import computable, first_not_finite
from lookalike.table_parts import read_embeddings, read_integers

Ties = Literal["pessimistic", "optimistic", "expected"]


def one_of(name: str, value: Any, known: Sequence[Any]) -> None:
    """Refuse a word that means nothing.

    Raises:
        ValueError: With the words that do.
    """
    if value not in known:
        raise ValueError(f"{name} is {', '.join(map(repr, known))}; got {value!r}.")


@dataclass(frozen=True)
class RelevantRanks:
    """What stands before the relevant items of each query.

    Unless another rule is asked for, ties are settled against the query: an irrelevant item with
    the same similarity stands before the relevant one, so a model that maps every image to one
    point scores as badly as it is.

    Attributes:
        above: ``[T]`` int64; irrelevant items more similar than the relevant one: those of query 0,
            best item first, then those of query 1, ...
        tied: ``[T]`` int64; irrelevant items exactly as similar.
        counts: ``[Q]`` int64; how many relevant items each query has. 0 means it cannot be
            answered.
        num_candidates: ``[Q]`` int64; gallery items left after exclusions.
    """

    above: Tensor
    tied: Tensor
    counts: Tensor
    num_candidates: Tensor

    @cached_property
    def starts(self) -> Tensor:
        """``[Q]``: where each query's items begin."""
        return self.counts.cumsum(0) - self.counts

    @cached_property
    def query(self) -> Tensor:
        """``[T]``: the query of each item."""
        return torch.repeat_interleave(torch.arange(len(self.counts)), self.counts)

    @cached_property
    def place(self) -> Tensor:
        """``[T]``: 1 for a query's best relevant item, 2 for its second, ..."""
        return torch.arange(len(self.above)) - self.starts[self.query] + 1

    @cached_property
    def ranks(self) -> Tensor:
        """``[T]`` int64: ranks from 1, ties settled against the query."""
        return self.above + self.tied + self.place

    @cached_property
    def best_ranks(self) -> Tensor:
        """``[T]`` int64: ranks from 1, ties settled in the query's favour."""
        return self.above + self.place

    @cached_property
    def _group_starts(self) -> Tensor:
        """``[T]``: the first relevant item with the same similarity as each."""
        fresh = torch.ones(len(self.above), dtype=torch.bool)
        if len(fresh) > 1:
            fresh[1:] = (self.place[1:] == 1) | (self.above[1:] != self.above[:-1])
            # the next better relevant item ties with the same irrelevant ones, if with any
            fresh[1:] |= (self.tied[1:] == 0) | (self.tied[:-1] == 0)
        return torch.arange(len(fresh)).where(fresh, 0).cummax(0).values

    @cached_property
    def before(self) -> Tensor:
        """``[T]``: relevant items that are more similar than the group of each."""
        return self.place[self._group_starts] - 1

    @cached_property
    def group(self) -> Tensor:
        """``[T]``: how many items, relevant or not, have the similarity of each.

        Relevant items that tie among themselves alone are groups of one; their order is the same
        to every metric.
        """
        sizes = torch.zeros_like(self.above)
        sizes.index_add_(0, self._group_starts, torch.ones_like(self.above))
        return sizes[self._group_starts] + self.tied

    @cached_property
    def has_ties(self) -> bool:
        """Whether any relevant item is tied with an irrelevant one."""
        return bool((self.tied > 0).any())

    def of(self, rows: Tensor) -> RelevantRanks:
        """Return only some of the queries, in the order of ``rows`` ``[R]``."""
        counts = self.counts[rows]
        within = torch.arange(int(counts.sum())) - torch.repeat_interleave(
            counts.cumsum(0) - counts, counts
        )
        items = torch.repeat_interleave(self.starts[rows], counts) + within
        return RelevantRanks(self.above[items], self.tied[items], counts, self.num_candidates[rows])

    @staticmethod
    def joined(parts: Sequence[RelevantRanks], rows: Sequence[Tensor]) -> RelevantRanks:
        """Put parts together, each with the rows of its queries; every query is in one of them."""
        if not parts:
            none = torch.empty(0, dtype=torch.int64)
            return RelevantRanks(none, none, none, none)
        whole = RelevantRanks(
            torch.cat([part.above for part in parts]),
            torch.cat([part.tied for part in parts]),
            torch.cat([part.counts for part in parts]),
            torch.cat([part.num_candidates for part in parts]),
        )
        return whole.of(torch.argsort(torch.cat(list(rows))))


def ranks_from_similarity(
    similarity: Tensor, query_labels: Tensor, gallery_labels: Tensor, keep: Tensor | None = None
) -> RelevantRanks:
    """Rank from a ready similarity matrix ``[Q, G]``; ``keep`` is False for excluded pairs.

    Args:
        similarity: ``[Q, G]``, finite; larger is nearer.
        query_labels: ``[Q]`` whole numbers.
        gallery_labels: ``[G]`` whole numbers.
        keep: ``[Q, G]``.

    Raises:
        DataError: If the parts do not fit each other, or a similarity is not finite.

    Example:
        >>> s = torch.tensor([[0.9, 0.1, 0.5]])
        >>> ranks_from_similarity(s, torch.tensor([1]), torch.tensor([1, 2, 1])).ranks
        tensor([1, 2])
    """
    similarity = read_embeddings(similarity, "similarity")
    labels = [
        read_integers(values, number, f"{side} labels").to(similarity.device)
        for side, values, number in zip(
            ("query", "gallery"), (query_labels, gallery_labels), similarity.shape, strict=True
        )
    ]
    relevant = labels[0][:, None] == labels[1]
    keep = torch.ones_like(relevant) if keep is None else keep.bool()
    if keep.shape != relevant.shape:
        raise DataError(f"keep: {list(relevant.shape)} expected, got {list(keep.shape)}.")
    return rank_among(similarity, relevant & keep, keep)


def rank_among(similarity: Tensor, relevant: Tensor, keep: Tensor) -> RelevantRanks:
    """Rank the relevant items among those kept; all three are ``[Q, G]``.

    Raises:
        DataError: If there is no query, or a similarity is not finite.

    Example:
        >>> relevant = torch.tensor([[False, True, False]])
        >>> rank_among(torch.tensor([[0.9, 0.1, 0.5]]), relevant, torch.ones(1, 3).bool()).ranks
        tensor([3])
    """
    if len(similarity) == 0:
        raise DataError("the query is empty: there are no similarities to rank.")
    similarity = computable(similarity)
    if (row := first_not_finite(similarity)) is not None:
        raise DataError(f"the similarities of query {row} are not finite; use keep to exclude.")
    counts = relevant.sum(dim=1)
    scores = similarity.masked_fill(~relevant, float("inf"))
    thresholds = Thresholds.of(scores.sort(dim=1).values[:, : int(counts.max())], counts)
    others = similarity.masked_fill(relevant | ~keep, float("-inf"))
    none = torch.full_like(counts, -1)
    count_tile(others.contiguous(), thresholds, (none, none), none)
    above, tied = thresholds.ragged()
    return RelevantRanks(above.cpu(), tied.cpu(), counts.cpu(), keep.sum(dim=1).cpu())
