"""Queries of someone who is not in the gallery: how often is a match reported all the same?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lookalike.retrieval.blocks import Block, GalleryFacts, QueryFacts
from lookalike.retrieval.products import Products, blocks_by_label
from lookalike.retrieval.rows import Table


@dataclass(frozen=True)
class BestMatches:
    """The most similar item of every query.

    Attributes:
        similarity: ``[Q]``; -inf where every item is excluded.
        right: ``[Q]`` bool: it has the query's label.
    """

    similarity: Tensor
    right: Tensor

    def rate(self, kind: str, threshold: float, known: Tensor) -> Tensor:
        """Return ``[Q]`` 1 and 0 where a query counts, NaN where it does not.

        ``fpir``: of the unknown queries (without a relevant item), those whose best item reaches
        the threshold; a false alarm. ``tpir``: of the known ones, those whose best item is right
        and reaches it.

        Source: Grother and Ngan, "Face Recognition Vendor Test", NIST IR 8009, 2014 (FPIR, FNIR =
        1 - TPIR, at rank 1).
        """
        reached = self.similarity >= threshold
        told = reached if kind == "fpir" else reached & self.right
        counted = ~known if kind == "fpir" else known
        return torch.where(counted, told.double(), torch.nan)


def best_matches(
    query: Table,
    gallery: Table,
    query_labels: Tensor,
    gallery_labels: Tensor,
    *,
    query_cameras: Tensor | None = None,
    gallery_cameras: Tensor | None = None,
    query_ids: Tensor | None = None,
    gallery_ids: Tensor | None = None,
) -> BestMatches:
    """Find the most similar item of every query; exclusions as for ``rank_relevant``.

    Where an irrelevant item is as similar as a relevant one, it is taken: ties are settled against
    the query.
    """
    facts = GalleryFacts.sorted_by_label(gallery_labels, gallery_cameras, gallery_ids)
    about = QueryFacts.of(query_labels, query_cameras, query_ids)
    products = Products(query, gallery, facts)
    own, others = (torch.full((query.shape[0],), -torch.inf) for _ in range(2))
    for rows in blocks_by_label(about.labels):
        block = Block(rows, about, facts, products.embed(rows))
        for tile in products.tiles(None):
            product = products.product(block.embeddings, tile)[: len(rows)].cpu()
            mine = block.left_out(tile.start, tile.stop)
            seen = product[:, : tile.stop - tile.start]
            others[rows] = others[rows].maximum(seen.masked_fill(mine, -torch.inf).amax(dim=1))
            if block.most and block.meets(tile.start, tile.stop):
                block.note(product, tile.start, tile.stop)
        if block.most:
            noted = block.noted.masked_fill(~block.relevant, -torch.inf)
            own[rows] = noted.amax(dim=1).to(own.dtype)
    return BestMatches(torch.maximum(own, others), own > others)
