"""What retrieval metrics share: values per query from ranks, ties, means, cut-offs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, get_args

import torch
from torch import Tensor

from lookalike.errors import DataError, cut
from lookalike.retrieval.ranks import RelevantRanks, Ties, one_of, ranks_from_similarity
from lookalike.retrieval.rows import computable
from lookalike.table_parts import read_embeddings

MOST = 2**63 - 1
"""The largest rank that can be counted."""


class RetrievalMetric(Protocol):
    """What evaluation needs of a metric."""

    def per_query(self, ranks: RelevantRanks) -> dict[str, Tensor]:
        """Return ``[Q]`` float64 by name; NaN where a query has no relevant item."""
        ...


class OfRanks:
    """What the metrics share: how ties are settled, and a call on a ready similarity matrix."""

    def __init__(self, ties: Ties = "pessimistic", *, descending: bool = True) -> None:
        one_of("ties", ties, get_args(Ties))
        self.ties, self.descending = ties, descending

    def per_query(self, ranks: RelevantRanks) -> dict[str, Tensor]:
        raise AssertionError("every metric defines per_query")

    def __call__(
        self,
        similarity: Tensor,
        query_labels: Tensor,
        gallery_labels: Tensor,
        keep: Tensor | None = None,
    ) -> dict[str, float]:
        """Score a similarity matrix ``[Q, G]``; ``keep`` ``[Q, G]`` is False for excluded pairs.

        With ``descending=False`` the matrix holds distances.
        """
        scores = read_embeddings(similarity, "similarity")
        scores = scores if self.descending else -computable(scores)
        ranks = ranks_from_similarity(scores, query_labels, gallery_labels, keep)
        return {name: mean(values) for name, values in self.per_query(ranks).items()}

    def expects(self, ranks: RelevantRanks) -> bool:
        """Tell whether the mean over the orders of tied items has to be taken."""
        return self.ties == "expected" and ranks.has_ties

    def settled(self, ranks: RelevantRanks) -> Tensor:
        """Return ``[T]`` float64, the ranks under a rule that gives each item one."""
        return (ranks.best_ranks if self.ties == "optimistic" else ranks.ranks).double()


def mean(values: Tensor) -> float:
    """Average over the queries that have a value.

    Raises:
        DataError: If none has one.
    """
    answerable = values[~values.isnan()]
    if len(answerable) == 0:
        raise DataError(
            f"none of the {len(values)} queries has a gallery item with its label; check that the "
            "query and gallery lists use the same labels."
        )
    return float(answerable.mean())


def cut_offs(k: Any) -> list[int]:
    """Read one cut-off rank or several.

    Raises:
        ValueError: If one is no whole number from 1 to 2^63 - 1.

    Example:
        >>> cut_offs(5), cut_offs((1, 5))
        ([5], [1, 5])
    """
    ks = list(k) if isinstance(k, Iterable) and not isinstance(k, str) else [k]
    whole = all(isinstance(one, int) and not isinstance(one, bool) for one in ks)
    if not ks or not whole or not 1 <= min(ks) <= max(ks) <= MOST:
        raise ValueError(f"k must be one or more whole numbers from 1 to 2^63 - 1, got {cut(k)}.")
    return ks


def nan_for_zero(counts: Tensor) -> Tensor:
    """Return counts as float64, NaN where there is nothing."""
    return torch.where(counts > 0, counts.double(), torch.nan)


def last_rank(k: int | str | None, ranks: RelevantRanks) -> tuple[Tensor, Tensor]:
    """Return the last rank that counts and the divisor, ``[Q]`` float64 each."""
    relevant = nan_for_zero(ranks.counts)
    if k is None:
        return torch.full_like(relevant, torch.inf), relevant
    if isinstance(k, str):
        return ranks.counts.double(), relevant
    return torch.full_like(relevant, float(k)), relevant.clamp(max=float(k))


def per_query_sums(values: Tensor, ranks: RelevantRanks) -> Tensor:
    """Add up ``[T]`` values query by query, ``[Q]``."""
    total = torch.zeros(len(ranks.counts), dtype=torch.float64)
    return total.index_add_(0, ranks.query, values)


def unanswered(ranks: RelevantRanks) -> Tensor:
    """Return ``[Q]`` NaN, to be filled in for the queries that have an answer."""
    return torch.full((len(ranks.counts),), torch.nan, dtype=torch.float64)
