"""The nearest gallery items of each query."""

from __future__ import annotations

import torch
from torch import Tensor


def nearest_neighbours(
    query: Tensor, gallery: Tensor, k: int, *, exclude: Tensor | None = None, block: int = 256
) -> tuple[Tensor, Tensor]:
    """Return similarities and gallery rows ``[Q, k]`` of the best items, best first.

    Args:
        query: ``[Q, D]``.
        gallery: ``[G, D]``.
        k: Items per query; at most the gallery.
        exclude: ``[Q]`` gallery row each query must not return (itself); -1 for none.
        block: Queries handled at a time.

    Example:
        >>> nearest_neighbours(torch.eye(2), torch.eye(2), 1)[1].tolist()
        [[0], [1]]
    """
    similarities, rows = [], []
    for start in range(0, len(query), block):
        scores = query[start : start + block] @ gallery.T
        if exclude is not None:
            own = exclude[start : start + block]
            at = (own >= 0).nonzero(as_tuple=True)[0]
            scores[at, own[at]] = float("-inf")
        best = scores.topk(min(k, len(gallery)), dim=1)
        similarities.append(best.values)
        rows.append(best.indices)
    return torch.cat(similarities), torch.cat(rows)
