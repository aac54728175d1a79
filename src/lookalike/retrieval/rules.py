"""How two tables are compared, and the tables made ready for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from lookalike import processes
from lookalike.errors import DataError, cut
from lookalike.geometry import at_least_float32, unit
from lookalike.retrieval.expansion import augment_database, expand_queries
from lookalike.retrieval.rank_relevant import MEMORY, rank_relevant, shared_rows
from lookalike.retrieval.ranks import RelevantRanks, Ties, one_of
from lookalike.retrieval.re_ranking import ReRanking
from lookalike.retrieval.rows import Table, compared
from lookalike.table_parts import repeated
from lookalike.types import EmbeddingTable

Binarize = Literal["round", "sign"] | None


@dataclass(frozen=True)
class Rules:
    """How two tables are compared.

    Attributes:
        cameras: Items with the query's label and camera are removed.
        own_images: The query's own image, told by its id, is removed.
        junk: Labels whose gallery items are removed for all queries.
        num_galleries: See :class:`~lookalike.retrieval.protocols.EvaluationProtocol`.
        ties: How items of the same similarity are ordered.
        normalize: Compare by cosine.
        binarize: Compare codes.
        augment: Images in the average that replaces a gallery image; 0 and 1 leave it.
        expand: Images in the average that replaces a query; 0 and 1 leave it.
        re_rank: Rank by k-reciprocal neighbours.
        memory: Bytes to use beside the tables. Expansion and re-ranking read both tables whole.
    """

    cameras: bool = False
    own_images: bool = False
    junk: tuple[int, ...] = ()
    num_galleries: int = 0
    ties: Ties = "pessimistic"
    normalize: bool = True
    binarize: Binarize = None
    augment: int = 0
    expand: int = 0
    re_rank: bool = False
    memory: int = MEMORY

    def __post_init__(self) -> None:
        """Refuse what no table can be compared by.

        Raises:
            ValueError: Names the attribute.
        """
        one_of("ties", self.ties, get_args(Ties))
        one_of("binarize", self.binarize, ("round", "sign", None))
        for name in ("num_galleries", "augment", "expand"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}.")

    def without_junk(
        self, query: EmbeddingTable, gallery: EmbeddingTable
    ) -> tuple[EmbeddingTable, EmbeddingTable]:
        """Return the tables without rows of a junk label.

        Raises:
            DataError: If nothing is left of one.
        """
        if not self.junk:
            return query, gallery
        junk = torch.tensor(self.junk)
        kept = [(~torch.isin(table.labels, junk)).nonzero()[:, 0] for table in (query, gallery)]
        for name, rows in zip(("query", "gallery"), kept, strict=True):
            if not len(rows):
                labels = ", ".join(map(str, self.junk))
                raise DataError(f"every label of the {name} table is {labels}, which is junk here.")
        return query.rows(kept[0]), gallery.rows(kept[1])

    def prepared(
        self, query: EmbeddingTable, gallery: EmbeddingTable
    ) -> tuple[tuple[Table, Table], dict[str, Any]]:
        """Return the tables as they are compared, and what excludes pairs of them.

        Raises:
            DataError: If the tables do not fit each other, cameras are needed and a table has none,
                or the rows of one id have different labels where ids exclude.
        """
        compared(query.embeddings, gallery.embeddings)
        facts: dict[str, Any] = {}
        if self.cameras:
            if query.cameras is None or gallery.cameras is None:
                raise DataError("this protocol removes items by camera; a table has no cameras.")
            facts |= {"query_cameras": query.cameras, "gallery_cameras": gallery.cameras}
        if self.own_images:
            for name, table in (("query", query), ("gallery", gallery)):
                check_ids(table, name)
            ids = numbered(query.ids, gallery.ids)
            facts |= {"query_ids": ids[0], "gallery_ids": ids[1]}
        left, right = query.embeddings, gallery.embeddings
        if self.augment > 1 or self.expand > 1:
            own = _rows_of_own_images(*ids) if self.own_images else None
            left, right = self._averaged(query, gallery, own)
        prepare = partial(comparable, normalize=self.normalize, binarize=self.binarize)
        return (
            Table(left, "query", names=query.ids, prepare=prepare),
            Table(right, "gallery", names=gallery.ids, prepare=prepare),
        ), facts

    def similarity(self, tables: tuple[Table, Table]) -> Callable[[Tensor], Tensor] | None:
        """Return what ranks in the place of inner products, if anything does."""
        return ReRanking(*whole(tables)).similarity if self.re_rank else None

    def ranks(
        self,
        tables: tuple[Table, Table],
        query_labels: Tensor,
        gallery_labels: Tensor,
        facts: Mapping[str, Any],
    ) -> RelevantRanks:
        """Rank prepared tables; of several processes each ranks some queries, and returns all."""
        own = rank_relevant(
            *tables,
            query_labels,
            gallery_labels,
            **facts,
            similarity=self.similarity(tables),
            memory=self.memory,
            share=(processes.rank(), processes.count()),
        )
        return _of_all(own, query_labels)

    def _averaged(
        self, query: EmbeddingTable, gallery: EmbeddingTable, own: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return embeddings with neighbours averaged; the averages have length one."""
        queries, items = (
            Table(table.embeddings, name, names=table.ids, any_scale=True).all()
            for name, table in (("query", query), ("gallery", gallery))
        )
        if self.augment > 1:
            items = augment_database(items, n=self.augment)
        if self.expand > 1:
            queries = expand_queries(queries, items, n=self.expand, own=own)
        return queries, items


def _of_all(own: RelevantRanks, query_labels: Tensor) -> RelevantRanks:
    """Put together what every process has ranked."""
    many = processes.count()
    if many == 1:
        return own
    rows = [shared_rows(query_labels, (number, many)) for number in range(many)]
    return RelevantRanks.joined(processes.each(own), rows)


def comparable(embeddings: Tensor, normalize: bool, binarize: Binarize) -> Tensor:
    """Return embeddings ``[N, D]`` in the form their inner products are compared in.

    Example:
        >>> comparable(torch.tensor([[0.2, 0.9]]), False, "round").tolist()
        [[-1.0, 1.0]]
    """
    vectors = unit(embeddings) if normalize else at_least_float32(embeddings)
    if binarize == "round":
        return vectors.round() * 2.0 - 1.0
    return vectors.sign() if binarize == "sign" else vectors


def whole(tables: tuple[Table, Table]) -> tuple[Tensor, Tensor]:
    """Return all rows of two prepared tables, in one type."""
    left, right = (table.all() for table in tables)
    dtype = torch.promote_types(left.dtype, right.dtype)
    return left.to(dtype), right.to(dtype)


def check_ids(table: EmbeddingTable, name: str) -> None:
    """Refuse a table in which images of one id have different labels: ids exclude images.

    Raises:
        DataError: Names the id and two of its rows.

    Example:
        >>> check_ids(EmbeddingTable([[1.0], [2.0]], [0, 0], ["a", "a"]), "query")
    """
    first: dict[str, int] = {}
    twice = repeated(table.ids)
    labels = table.labels
    for row, one in enumerate(table.ids if twice else ()):
        if one in twice and labels[row] != labels[first.setdefault(one, row)]:
            raise DataError(
                f"the {name} table has the id {cut(one)} in row {first[one]} with label "
                f"{int(labels[first[one]])} and in row {row} with label {int(labels[row])}; images "
                "are excluded by their id, so it has to name one image."
            )


def numbered(query: Sequence[str], gallery: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Give the same number to the same id."""
    number = {name: index for index, name in enumerate(dict.fromkeys([*gallery, *query]))}
    return (
        torch.tensor([number[name] for name in query]),
        torch.tensor([number[name] for name in gallery]),
    )


def _rows_of_own_images(query: Tensor, gallery: Tensor) -> Tensor:
    """Return ``[Q]``: the gallery row with each query's id, -1 for none."""
    found = torch.full((int(torch.cat([query, gallery]).max()) + 1,), -1)
    found[gallery] = torch.arange(len(gallery))
    return found[query]
