"""Queries of someone who is not in the gallery: how often is a match reported all the same?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lookalike.retrieval.blocks import Block, read_facts
from lookalike.retrieval.products import Products, blocks_by_label
from lookalike.retrieval.rows import Rows, compared


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
        # a float32 similarity printed as 0.9 reaches 0.9
        reached = self.similarity.float() >= threshold
        told = reached if kind == "fpir" else reached & self.right
        counted = ~known if kind == "fpir" else known
        return torch.where(counted, told.double(), torch.nan)


def best_matches(
    query: Tensor | Rows,
    gallery: Tensor | Rows,
    query_labels: Tensor,
    gallery_labels: Tensor,
    *,
    query_cameras: Tensor | None = None,
    gallery_cameras: Tensor | None = None,
    query_ids: Tensor | None = None,
    gallery_ids: Tensor | None = None,
) -> BestMatches:
    """Find the item of the largest inner product; arguments as for ``rank_relevant``.

    Where an irrelevant item is as similar as a relevant one, it is taken: ties are settled against
    the query.
    """
    queries, items = compared(query, gallery)
    about, facts = read_facts(
        *(queries.shape[0], items.shape[0], query_labels, gallery_labels),
        *(query_cameras, gallery_cameras, query_ids, gallery_ids),
    )
    products = Products(queries, items, facts)
    # float64 holds what either type computes
    own, others = (torch.full((queries.shape[0],), -torch.inf).double() for _ in range(2))
    for rows in blocks_by_label(about.labels):
        block = Block(rows, about, facts, products.embed(rows))
        for tile in products.tiles(None):
            product = products.product(block.embeddings, tile)[: len(rows)].cpu()
            mine = block.left_out(tile.start, tile.stop)
            seen = product[:, : tile.stop - tile.start]
            best = seen.masked_fill(mine, -torch.inf).amax(dim=1)
            others[rows] = others[rows].maximum(best.double())
            if block.most and block.meets(tile.start, tile.stop):
                block.note(product, tile.start, tile.stop)
        if block.most:
            noted = block.noted.masked_fill(~block.relevant, -torch.inf)
            own[rows] = noted.amax(dim=1).to(own.dtype)
    return BestMatches(torch.maximum(own, others), own > others)
