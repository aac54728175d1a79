"""Re-ranking by k-reciprocal neighbours."""

# Shape letters: Q = queries, G = gallery, N = Q + G, B = queries in a block

from __future__ import annotations

import torch
from torch import Tensor

_BLOCK = 512


class ReRanking:
    """Compare images by the neighbours they have in common.

    Two images are k-reciprocal neighbours if each is among the k nearest of the other. An image is
    described by its reciprocal neighbours, weighted by ``exp(-d)``; two images are as far apart as
    their descriptions (Jaccard). The result is ``(1 - lambda) Jaccard + lambda d``, where d is the
    squared Euclidean distance divided by the largest one of the query.

    Nothing grows with ``N * N``: neighbours are found in blocks, and a description has only its
    entries.

    Source: Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding",
    CVPR 2017. https://arxiv.org/abs/1701.08398

    Args:
        query: ``[Q, D]``.
        gallery: ``[G, D]``.
        k1: Neighbours that may be reciprocal.
        k2: Descriptions of so many nearest neighbours are averaged; 1 leaves them as they are.
        lamb: Share of the original distance.

    Example:
        >>> points = torch.tensor([[0.0], [0.1], [5.0], [5.1]])
        >>> ReRanking(points[:1], points[1:], k1=1, k2=1).distances(torch.tensor([0])).argmin()
        tensor(0)
    """

    def __init__(
        self, query: Tensor, gallery: Tensor, *, k1: int = 20, k2: int = 6, lamb: float = 0.3
    ) -> None:
        self.points = torch.cat([query, gallery]).float()
        self.num_queries, self.lamb = len(query), lamb
        self.squares = self.points.square().sum(dim=1)
        most = min(max(k1 + 1, k2), len(self.points))
        self.near, self.scale = self._neighbours(most)
        described = [self._describe(row, k1) for row in range(len(self.points))]
        if k2 > 1:
            described = [self._average(described, row, k2) for row in range(len(self.points))]
        self.described = described[: self.num_queries]
        self._index(described[self.num_queries :])

    def distances(self, rows: Tensor) -> Tensor:
        """Return the distances ``[B, G]`` of some queries to the gallery."""
        original = (self._squared(rows) / self.scale[rows, None])[:, self.num_queries :]
        jaccard = torch.stack([self._jaccard(*self.described[int(row)]) for row in rows])
        return (1.0 - self.lamb) * jaccard + self.lamb * original

    def similarity(self, rows: Tensor) -> Tensor:
        """Return the distances with the sign turned, for a ranking."""
        return -self.distances(rows)

    def _squared(self, rows: Tensor) -> Tensor:
        products = self.points[rows] @ self.points.T
        return (self.squares[rows, None] + self.squares - 2.0 * products).clamp_min(0.0)

    def _neighbours(self, most: int) -> tuple[Tensor, Tensor]:
        """Return the nearest of each image, itself first, and its largest distance."""
        near, scale = [], []
        for rows in torch.split(torch.arange(len(self.points)), _BLOCK):
            squared = self._squared(rows)
            # an image is its own nearest, also beside a copy of it
            squared[torch.arange(len(rows)), rows] = -1.0
            near.append(squared.topk(most, dim=1, largest=False).indices)
            scale.append(squared.amax(dim=1))
        return torch.cat(near), torch.cat(scale).clamp_min(1e-12)

    def _reciprocal(self, row: int, k: int) -> Tensor:
        ahead = self.near[row, : k + 1]
        return ahead[(self.near[ahead, : k + 1] == row).any(dim=1)]

    def _describe(self, row: int, k1: int) -> tuple[Tensor, Tensor]:
        """Return the reciprocal neighbours of an image, with theirs, and their weights."""
        own = self._reciprocal(row, k1)
        members = [own]
        for candidate in own.tolist():
            # half of k1, to even as the authors' program rounds
            theirs = self._reciprocal(candidate, round(k1 / 2))
            if torch.isin(theirs, own).sum() > 2 / 3 * len(theirs):
                members.append(theirs)
        columns = torch.unique(torch.cat(members))
        products = self.points[columns] @ self.points[row]
        squared = (self.squares[columns] + self.squares[row] - 2.0 * products).clamp_min(0.0)
        weights = (-squared / self.scale[row]).exp()
        return columns, weights / weights.sum()

    def _average(
        self, described: list[tuple[Tensor, Tensor]], row: int, k2: int
    ) -> tuple[Tensor, Tensor]:
        around = self.near[row, :k2].tolist()
        named = torch.cat([described[i][0] for i in around])
        columns, place = torch.unique(named, return_inverse=True)
        weights = torch.cat([described[i][1] for i in around]) / len(around)
        return columns, torch.zeros(len(columns)).index_add_(0, place, weights)

    def _index(self, gallery: list[tuple[Tensor, Tensor]]) -> None:
        """Order the gallery's descriptions by the images they name."""
        sizes = torch.tensor([len(columns) for columns, _ in gallery])
        owner = torch.repeat_interleave(torch.arange(len(gallery)), sizes)
        columns = torch.cat([columns for columns, _ in gallery])
        order = torch.argsort(columns, stable=True)
        self.num_gallery, self.owner = len(gallery), owner[order]
        self.weight = torch.cat([weights for _, weights in gallery])[order]
        counts = torch.bincount(columns, minlength=len(self.points))
        self.ends = counts.cumsum(0)
        self.starts = self.ends - counts

    def _jaccard(self, columns: Tensor, weights: Tensor) -> Tensor:
        """Return the distance of a description to those of the gallery, ``[G]``."""
        shared = torch.zeros(self.num_gallery)
        for column, weight in zip(columns.tolist(), weights, strict=True):
            inside = slice(int(self.starts[column]), int(self.ends[column]))
            shared.index_add_(0, self.owner[inside], self.weight[inside].minimum(weight))
        return 1.0 - shared / (2.0 - shared)
