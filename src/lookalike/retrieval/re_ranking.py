"""Re-ranking by k-reciprocal neighbours."""

# Shape letters: Q = queries, G = gallery, N = Q + G, D = embedding, B = queries in a block

from __future__ import annotations

import torch
from torch import Tensor

from lookalike.errors import DataError
from lookalike.retrieval.nearest import nearest_rows, negative_squared
from lookalike.retrieval.products import BLOCK, GalleryProducts
from lookalike.retrieval.reciprocal import averaged, describe
from lookalike.retrieval.rows import first_out_of_range, out_of_range, read_pair
from lookalike.retrieval.sparse import SparseRows, shared
from lookalike.table_parts import check_count


class ReRanking:
    """Compare images by the neighbours they have in common.

    Two images are k-reciprocal neighbours if each is among the k nearest of the other. An image is
    described by its reciprocal neighbours, weighted by ``exp(-d)``; two images are as far apart as
    their descriptions (Jaccard). The result is ``(1 - lambda) Jaccard + lambda d``, where d is the
    squared Euclidean distance divided by the largest one of the query.

    Nothing grows with ``N * N``: neighbours are found tile by tile, and a description has only its
    entries; :func:`needed_bytes` bounds them. With numba and without, the numbers are the same.

    Ties: an image is its own nearest, also beside a copy of it; of images at the same distance,
    those of the smaller number (queries first, then the gallery) are nearer. What is found for a
    query does not depend on the queries it is asked for with.

    Source: Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding",
    CVPR 2017. https://arxiv.org/abs/1701.08398

    Args:
        query: ``[Q, D]`` of a real type, compared as they are, in float32: scale them to length one
            first if cosine is meant.
        gallery: ``[G, D]``.
        k1: Neighbours that may be reciprocal.
        k2: Descriptions of so many nearest neighbours are averaged; 1 leaves them as they are.
        lamb: Share of the original distance.

    Raises:
        DataError: If a table is empty, their widths differ, or a number is not finite or so large
            or small that squares overflow or vanish.
        ValueError: If k1 or k2 is not positive or lambda is not in [0, 1].

    Example:
        >>> points = torch.tensor([[0.0], [0.1], [5.0], [5.1]])
        >>> ReRanking(points[:1], points[1:], k1=1, k2=1).distances(torch.tensor([0])).argmin()
        tensor(0)
    """

    def __init__(
        self, query: Tensor, gallery: Tensor, *, k1: int = 20, k2: int = 6, lamb: float = 0.3
    ) -> None:
        _check(k1, k2, lamb)
        query, gallery = read_pair(query, gallery, "re-ranking")
        self.device, self.lamb = query.device, lamb
        self.num_queries, self.num_gallery = len(query), len(gallery)
        points = torch.cat([query.cpu(), gallery.cpu()])
        if (row := first_out_of_range(points, torch.float32)) is not None:
            raise DataError(out_of_range(points[row], f"re-ranking: row {row} of both tables"))
        points = points.float()
        self.squares = points.square().sum(dim=1)
        nearest = nearest_rows(
            points,
            points,
            max(k1 + 1, k2),
            squares=(self.squares, self.squares),
            own=torch.arange(len(points)),
            own_key=float("inf"),
        )
        self.scale = nearest.lowest.neg().clamp_min(torch.finfo(torch.float32).tiny)
        described = describe(points, nearest.numbers, self.scale, k1)
        if k2 > 1:
            described = averaged(described, nearest.numbers, k2)
        self.described = described.between(0, self.num_queries)
        items = described.between(self.num_queries, len(points))
        self.turned = items.turned(len(points))
        self.points, self.products = (
            points,
            GalleryProducts(points[self.num_queries :], self.num_queries),
        )

    def distances(self, rows: Tensor) -> Tensor:
        """Return the distances ``[B, G]`` of some queries, ``[B]``, to the gallery."""
        rows = rows.cpu()
        if rows.ndim != 1 or rows.dtype != torch.int64 or not self._are_queries(rows):
            raise ValueError(f"rows: queries 0 to {self.num_queries - 1}, int64, expected.")
        found = torch.empty(len(rows), self.num_gallery)
        step = self.products.rows
        for start in range(0, len(rows), step):
            self._fill(found[start : start + step], rows[start : start + step])
        return found.to(self.device)

    def _are_queries(self, rows: Tensor) -> bool:
        return bool(((rows >= 0) & (rows < self.num_queries)).all())

    def similarity(self, rows: Tensor) -> Tensor:
        """Return the distances with the sign turned, for a ranking."""
        return self.distances(rows).neg_()

    def _fill(self, found: Tensor, rows: Tensor) -> None:
        for start, tile in self.products.of(self.points[rows]):
            stop = start + tile.shape[1]
            squares = self.squares[self.num_queries :][start:stop]
            found[:, start:stop] = negative_squared(tile, self.squares[rows], squares)
        found.mul_(-self.lamb).div_(self.scale[rows, None])
        _, place = self.described.entries(rows)
        sizes = self.described.sizes[rows]
        some = SparseRows.of(sizes, self.described.columns[place], self.described.weights[place])
        common = shared(some, self.turned, self.num_gallery)
        jaccard = common.div_(2.0 - common).neg_().add_(1.0)
        found.add_(jaccard, alpha=1.0 - self.lamb)


def needed_bytes(
    num_queries: int, num_gallery: int, width: int, *, k1: int = 20, k2: int = 6
) -> int:
    """Return a bound of the bytes that re-ranking takes beside the tables it is given.

    For N images of D numbers: a copy of the tables, ``4 N D``; the K nearest of each and two
    numbers more, ``4 N (K + 2)``; descriptions of at most V entries, 48 bytes for each entry while
    they are put in order; four blocks of distances, ``4 * 256 G`` each, for a block of queries; and
    128 MB that depend on nothing. V is ``k2 (k1 + 1) (h / 3 + 2)``: each of the ``k1 + 1`` own
    neighbours brings less than a third of its ``h + 1``, h being half of k1. Real descriptions have
    a tenth of that.

    Args:
        num_queries: Q.
        num_gallery: G.
        width: D.
        k1: As for :class:`ReRanking`.
        k2: As for :class:`ReRanking`.

    Example:
        >>> needed_bytes(20_000, 20_000, 512) < 2_000_000_000
        True
    """
    number = num_queries + num_gallery
    tables = 4 * number * (width + max(k1 + 1, k2) + 2)
    entries = min(number, k2 * (k1 + 1) * (round(k1 / 2) // 3 + 2))
    blocks = 4 * 4 * BLOCK * num_gallery
    return tables + 48 * number * entries + blocks + 128_000_000


def _check(k1: int, k2: int, lamb: float) -> None:
    check_count(k1, "k1")
    check_count(k2, "k2")
    if not 0.0 <= lamb <= 1.0:
        raise ValueError(f"re-ranking needs a lambda from 0 to 1, got {lamb}.")
