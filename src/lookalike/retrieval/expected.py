"""Means of metrics over all orders of items with the same similarity.

A group of n tied items, r of them relevant, stands behind a items. Each order of the group is as
likely as any other, so what a metric gains from the group is a sum over its places.

Source: McSherry and Najork, "Computing Information Retrieval Performance Measures Efficiently in
the Presence of Tied Scores", ECIR 2008, sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lookalike.retrieval.ranks import RelevantRanks


@dataclass(frozen=True)
class _Group:
    """Tied items of a query: n in all, r relevant, behind ``ahead`` items, ``before`` relevant."""

    query: int
    n: int
    r: int
    ahead: int
    before: int

    @property
    def places(self) -> Tensor:
        """``[n]``: the places of the group, from 1."""
        return torch.arange(1, self.n + 1, dtype=torch.float64)


def _groups(ranks: RelevantRanks, items: Tensor) -> Iterator[_Group]:
    """Yield the groups that begin with the given items."""
    columns = (ranks.query, ranks.group, ranks.tied, ranks.above, ranks.before)
    rows = torch.stack([column[items] for column in columns], dim=1).tolist()
    for query, n, tied, above, before in rows:
        yield _Group(query, n, n - tied, above + before, before)


def expected_first(ranks: RelevantRanks, k: int | None) -> Tensor:
    """Return ``[Q]``: the chance that a relevant item is among the first k; without k, E[1/rank].

    NaN where a query has no relevant item.
    """
    values = torch.full((len(ranks.counts),), torch.nan, dtype=torch.float64)
    for group in _groups(ranks, ranks.starts[ranks.counts > 0]):
        if k is None:
            at = _log_choose(group.n - group.places, group.r - 1) - _log_choose(group.n, group.r)
            values[group.query] = (at.exp() / (group.ahead + group.places)).sum()
        else:
            room = min(max(k - group.ahead, 0), group.n)
            none = _log_choose(group.n - group.r, room) - _log_choose(group.n, room)
            values[group.query] = 1.0 - float(none.exp())
    return values


def expected_last(ranks: RelevantRanks) -> Tensor:
    """Return ``[Q]``: E[m / rank of the last of m relevant items]; NaN without any."""
    values = torch.full((len(ranks.counts),), torch.nan, dtype=torch.float64)
    answerable = ranks.counts > 0
    last = (ranks.starts + ranks.counts - 1)[answerable]
    for group in _groups(ranks, last):
        at = _log_choose(group.places - 1, group.r - 1) - _log_choose(group.n, group.r)
        mean = (at.exp() / (group.ahead + group.places)).sum()
        values[group.query] = float(ranks.counts[group.query]) * mean
    return values


def expected_precisions(ranks: RelevantRanks, most: Tensor) -> Tensor:
    """Return ``[Q]``: the expected sum of the precisions at relevant items of rank up to ``most``.

    Args:
        ranks: Of the relevant items.
        most: ``[Q]`` float64.
    """
    totals = torch.zeros(len(ranks.counts), dtype=torch.float64)
    begins = ranks.place == ranks.before + 1
    for group in _groups(ranks, begins.nonzero()[:, 0]):
        places = group.places
        others = (places - 1) * (group.r - 1) / max(group.n - 1, 1)
        precision = (group.before + 1 + others) / (group.ahead + places)
        counted = group.ahead + places <= most[group.query]
        totals[group.query] += (precision * counted).sum() * group.r / group.n
    return totals


def _log_choose(n: Tensor | int, k: Tensor | int) -> Tensor:
    """Return the logarithm of n over k; -inf where k is not in 0 to n."""
    top, bottom = (torch.as_tensor(x, dtype=torch.float64) for x in (n, k))
    inside = (bottom >= 0) & (bottom <= top)
    top, bottom = top.clamp_min(0.0), torch.minimum(bottom.clamp_min(0.0), top.clamp_min(0.0))
    value = torch.lgamma(top + 1) - torch.lgamma(bottom + 1) - torch.lgamma(top - bottom + 1)
    return torch.where(inside, value, -torch.inf)
