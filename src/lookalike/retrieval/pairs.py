"""Is it the same one? All pairs of a query and an item against a threshold.

A pair is genuine if both have one label, an impostor otherwise; excluded pairs are neither. What
such a test does changes only at the similarities of genuine pairs, so it is known everywhere from
the number of impostors that reach each of these.
"""

# Shape letters: U = different similarities of genuine pairs

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lookalike.errors import DataError
from lookalike.retrieval.blocks import Block, GalleryFacts, QueryFacts, read_facts
from lookalike.retrieval.products import Products, Tile, blocks_by_label
from lookalike.retrieval.rows import Rows, compared


@dataclass(frozen=True)
class PairCounts:
    """How many pairs reach each threshold.

    Attributes:
        thresholds: ``[U]`` rising: the similarities of genuine pairs.
        genuine: ``[U]`` int64: genuine pairs at least as similar.
        impostors: ``[U]`` int64: impostors at least as similar.
        equal: ``[U]`` int64: impostors exactly as similar.
        num_genuine: All genuine pairs.
        num_impostors: All impostors.
    """

    thresholds: Tensor
    genuine: Tensor
    impostors: Tensor
    equal: Tensor
    num_genuine: int
    num_impostors: int

    def tpr_at_fpr(self, fpr: float) -> tuple[float, float]:
        """Return the largest share of genuine pairs accepted while impostors stay within ``fpr``.

        The bound is kept, not met on average: of thresholds with at most ``fpr`` of the impostors
        at or above them, the lowest is taken. FNMR at this FMR is one minus the share.

        Args:
            fpr: Share of impostors that may be accepted, 0 to 1.

        Returns:
            The share, and the threshold; above all similarities if no threshold keeps the bound.
        """
        if not 0.0 <= fpr <= 1.0:
            raise ValueError(f"a rate is 0 to 1, got {fpr}.")
        within = (self.impostors.double() / self.num_impostors <= fpr).nonzero()[:, 0]
        if len(within) == 0:
            return 0.0, float("inf")
        at = int(within[0])
        return float(self.genuine[at]) / self.num_genuine, float(self.thresholds[at])

    def auc(self) -> float:
        """Return the chance that a genuine pair is more similar than an impostor, ties half.

        This is the area under the ROC curve (Hanley and McNeil, Radiology 1982).
        """
        own = self.genuine - torch.cat([self.genuine[1:], self.genuine.new_zeros(1)])
        beaten = self.num_impostors - self.impostors.double() + self.equal.double() / 2
        return float((own.double() * beaten).sum()) / (self.num_genuine * self.num_impostors)

    def roc(self, points: int = 200) -> list[tuple[float, float, float]]:
        """Return (threshold, false positive rate, true positive rate), from strict to lenient."""
        at = torch.linspace(len(self.thresholds) - 1, 0, min(points, len(self.thresholds))).long()
        columns = (
            self.thresholds[at].double(),
            self.impostors[at].double() / self.num_impostors,
            self.genuine[at].double() / self.num_genuine,
        )
        return [tuple(row) for row in torch.stack(columns, dim=1).tolist()]


def count_pairs(
    query: Tensor | Rows,
    gallery: Tensor | Rows,
    query_labels: Tensor,
    gallery_labels: Tensor,
    *,
    query_cameras: Tensor | None = None,
    gallery_cameras: Tensor | None = None,
    query_ids: Tensor | None = None,
    gallery_ids: Tensor | None = None,
) -> PairCounts:
    """Count the pairs of two tables by inner product; arguments as for ``rank_relevant``.

    Raises:
        DataError: As ``rank_relevant`` does, and if there is no genuine pair, or no impostor.

    Example:
        >>> points, labels = torch.tensor([[1.0, 0], [1, 0.1], [0, 1]]), torch.tensor([0, 0, 1])
        >>> count_pairs(points[:1], points[1:], labels[:1], labels[1:]).auc()
        1.0
    """
    queries, items = compared(query, gallery)
    about, facts = read_facts(
        *(queries.shape[0], items.shape[0], query_labels, gallery_labels),
        *(query_cameras, gallery_cameras, query_ids, gallery_ids),
    )
    products = Products(queries, items, facts)
    genuine, excluded = [], 0
    for block, tile, product in _walk(products, about, facts, own_only=True):
        block.note(product, tile.start, tile.stop)
        if tile.stop >= block.reach[1]:
            genuine.append(block.noted[block.relevant])
            excluded += int((len(facts.labels) - block.candidates).sum())
    found = torch.cat(genuine) if genuine else torch.empty(0)
    total = queries.shape[0] * items.shape[0] - excluded - len(found)
    if len(found) == 0 or total <= 0:
        raise DataError(f"{len(found)} genuine pairs and {total} impostors; both are needed.")
    thresholds, counts = torch.unique(found, return_counts=True)
    at_least = _Impostors(thresholds)
    for block, tile, product in _walk(products, about, facts, own_only=False):
        at_least.add(block, product, tile)
    return PairCounts(
        thresholds,
        counts.flip(0).cumsum(0).flip(0),
        *at_least.counts(),
        num_genuine=len(found),
        num_impostors=total,
    )


def _walk(
    products: Products, about: QueryFacts, facts: GalleryFacts, *, own_only: bool
) -> Iterator[tuple[Block, Tile, Tensor]]:
    """Yield every block with every tile; ``own_only`` leaves out tiles without items of its own."""
    for rows in blocks_by_label(about.labels):
        block = Block(rows, about, facts, products.embed(rows))
        if own_only and block.most == 0:
            continue
        for tile in products.tiles([block.reach] if own_only else None):
            yield block, tile, products.product(block.embeddings, tile)


class _Impostors:
    """Counts impostors between thresholds that are the same for all queries."""

    def __init__(self, thresholds: Tensor) -> None:
        self.thresholds = thresholds
        # items between two thresholds, and items on one
        self.between = torch.zeros(len(thresholds) + 1, dtype=torch.int64)
        self.on = torch.zeros(len(thresholds), dtype=torch.int64)

    def add(self, block: Block, product: Tensor, tile: Tile) -> None:
        """Count the impostors of a block in a tile."""
        own = block.left_out(tile.start, tile.stop)
        values = product[: len(own), : tile.stop - tile.start].cpu()[~own]
        reached = torch.searchsorted(self.thresholds, values, right=True)
        self.between += torch.bincount(reached, minlength=len(self.between))
        below = (reached - 1).clamp_min(0)
        same = (reached > 0) & (self.thresholds[below] == values)
        self.on += torch.bincount(below[same], minlength=len(self.on))

    def counts(self) -> tuple[Tensor, Tensor]:
        """Return impostors at or above, and exactly at, each threshold, ``[U]``."""
        return self.between[1:].flip(0).cumsum(0).flip(0), self.on
