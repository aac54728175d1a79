"""Two embedding tables to a set of metrics with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from lookalike.errors import DataError
from lookalike.retrieval.intervals import clustered_interval
from lookalike.retrieval.metric import RetrievalMetric, mean
from lookalike.retrieval.rank_relevant import MEMORY
from lookalike.retrieval.ranks import RelevantRanks, one_of
from lookalike.retrieval.reference_protocol import reference_evaluation
from lookalike.retrieval.rows import compared
from lookalike.retrieval.rules import Rules, whole
from lookalike.table_parts import check_count
from lookalike.types import EmbeddingTable


@dataclass(frozen=True)
class RetrievalResult:
    """What an evaluation found.

    Attributes:
        values: Metric to its mean over the answerable queries, in the order asked for.
        intervals: Metric to its 95 % interval.
        num_queries: Queries in the table.
        num_answerable: Queries with a relevant item in the gallery.
        num_gallery: Items in the gallery.
        protocol: Which pairs were excluded, in words.
    """

    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    num_queries: int
    num_answerable: int
    num_gallery: int
    protocol: str

    def as_dict(self) -> dict[str, Any]:
        """Return metric names with their values, and the rest beside them, for JSON."""
        return {
            **self.values,
            "intervals": {name: list(bounds) for name, bounds in self.intervals.items()},
            "num_queries": self.num_queries,
            "num_answerable": self.num_answerable,
            "num_gallery": self.num_gallery,
            "protocol": self.protocol,
        }


def evaluate_retrieval(
    query: EmbeddingTable,
    gallery: EmbeddingTable,
    metrics: Sequence[RetrievalMetric],
    *,
    normalize: bool = True,
    binarize: Literal["round", "sign"] | None = None,
    same_images: bool = False,
    re_ranking: bool = False,
    protocol: Literal["exact", "reference"] = "exact",
    block_size: int = 64,
    memory: int = MEMORY,
) -> RetrievalResult:
    """Score every query against the gallery.

    Args:
        query: The queries; its cameras, if any, exclude items of the same label and camera.
        gallery: What is searched. Embeddings of one table in float64 and of the other in float32
            are compared in float64.
        metrics: At least one.
        normalize: Compare by cosine, whatever the scale of the embeddings; a row of zeros has the
            similarity 0 to every image. False compares by inner product.
        binarize: Turn embeddings into codes, after normalising: ``round`` takes 0 to 1 to -1 and
            1, ``sign`` takes the sign.
        same_images: Ids in both tables name the same images, so a query's own id is excluded, in
            every row that has it; such rows must have one label.
        re_ranking: Rank by :class:`~lookalike.retrieval.re_ranking.ReRanking` with the values of
            its paper (20, 6, 0.3).
        protocol: ``reference`` computes as PaddleClas does (see ``reference_protocol``), without
            intervals; only the camera rule excludes there.
        block_size: Queries in a block, for the reference protocol alone.
        memory: Bytes to use beside the tables; the result does not depend on it.

    Raises:
        DataError: If the tables do not fit each other, an embedding is not finite, ids do not
            identify images, or no query can be answered.
        ValueError: If an option has no meaning, or there is no metric.
    """
    one_of("protocol", protocol, ("exact", "reference"))
    check_count(block_size, "block_size")
    if not metrics:
        raise ValueError("at least one metric is needed.")
    check_tables(query, gallery)
    exact = protocol == "exact"
    use_cameras = query.cameras is not None
    rules = Rules(
        cameras=use_cameras,
        own_images=same_images and exact,
        normalize=normalize,
        binarize=binarize,
        re_rank=re_ranking,
        memory=memory,
    )
    query, gallery = rules.selected(query, gallery)
    tables, facts = rules.prepared(query, gallery)
    intervals: dict[str, tuple[float, float]] = {}
    if exact:
        ranks = rules.ranks(tables, query.labels, gallery.labels, facts)
        values, intervals = _scores(metrics, ranks, query.labels)
        num_answerable = int((ranks.counts > 0).sum())
    else:
        values, num_answerable = reference_evaluation(
            metrics,
            rules.similarity(tables) or _products(*whole(tables)),
            query.labels,
            gallery.labels,
            **facts,
            block_size=len(query) if re_ranking else block_size,
            excluded_last=re_ranking,
        )
    return RetrievalResult(
        values,
        intervals,
        num_queries=len(query),
        num_answerable=num_answerable,
        num_gallery=len(gallery),
        protocol=_protocol(use_cameras, same_images and exact, re_ranking, exact),
    )


def _products(queries: Tensor, items: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda rows: queries[rows] @ items.T


def check_tables(query: EmbeddingTable, gallery: EmbeddingTable, *, cameras: bool = True) -> None:
    """Refuse tables of different models, empty ones, or cameras on one side alone.

    Raises:
        DataError: Says which.
    """
    compared(query.embeddings, gallery.embeddings)
    if cameras and query.cameras is not None and gallery.cameras is None:
        raise DataError(
            "the query list has a camera column and the gallery list has none; give both a third "
            "column, or neither."
        )


def _scores(
    metrics: Sequence[RetrievalMetric], ranks: RelevantRanks, query_labels: Tensor
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    values: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    for metric in metrics:
        for name, per_query in metric.per_query(ranks).items():
            values[name] = mean(per_query)
            intervals[name] = clustered_interval(per_query, query_labels)
    return values, intervals


def _protocol(use_cameras: bool, same_images: bool, re_ranking: bool, exact: bool) -> str:
    parts = [] if exact else ["as the reference computes it, in blocks of queries"]
    if re_ranking:
        parts.append("re-ranked by k-reciprocal neighbours")
    if use_cameras:
        done = "removed" if exact else "moved"
        parts.append(f"items with the query's label and camera are {done}")
    if same_images:
        parts.append("the query's own image is removed")
    return "; ".join(parts) or "the whole gallery is ranked"
