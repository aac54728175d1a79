"""How two tables are compared, and the tables made ready for it."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from lookalike import processes
from lookalike.errors import DataError, cut
from lookalike.geometry import at_least_float32, unit
from lookalike.names import JUNK, share_names
from lookalike.retrieval.expansion import augment_database, expand_queries
from lookalike.retrieval.rank_relevant import MEMORY, rank_relevant, shared_rows
from lookalike.retrieval.ranks import RelevantRanks, Ties, one_of
from lookalike.retrieval.re_ranking import ReRanking
from lookalike.retrieval.rows import Table, compared
from lookalike.table_parts import check_count, repeated
from lookalike.types import EmbeddingTable

Binarize = Literal["round", "sign"] | None


@dataclass(frozen=True)
class Rules:
    """How two tables are compared.

    Attributes:
        cameras: Items with the query's label and camera are removed.
        own_images: The query's own image, told by its id, is removed.
        junk: Labels of images that are no query's and answer none; they are left out.
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
    junk: tuple[int, ...] = (JUNK,)
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
            check_count(getattr(self, name), name, least=0)
        check_count(self.memory, "memory")

    def selected(
        self, query: EmbeddingTable, gallery: EmbeddingTable
    ) -> tuple[EmbeddingTable, EmbeddingTable]:
        """Return the rows that are compared: without junk, and with classes numbered by name.

        Raises:
            DataError: If a table holds junk alone.
        """
        same = query is gallery
        query = self._without_junk(query, "query")
        gallery = query if same else self._without_junk(gallery, "gallery")
        if same:
            return query, query
        query, gallery = _numbered_once(query, gallery, "labels", "class_names")
        if query.cameras is None or gallery.cameras is None:
            return query, gallery
        return _numbered_once(query, gallery, "cameras", "camera_names")

    def _without_junk(self, table: EmbeddingTable, side: str) -> EmbeddingTable:
        junk = torch.isin(table.labels, torch.tensor(self.junk, dtype=torch.int64))
        if not junk.any():
            return table  # as it is: it may be mapped from a file
        if junk.all():
            raise DataError(f"the {side} table holds junk alone (label {JUNK}); nothing is left.")
        return table.rows((~junk).nonzero()[:, 0])

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
            ids = image_numbers_of(query, gallery)
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


def _numbered_once(
    query: EmbeddingTable, gallery: EmbeddingTable, column: str, names: str
) -> tuple[EmbeddingTable, EmbeddingTable]:
    """Return the tables with equal numbers for equal names in a column."""
    columns = [
        (getattr(table, column).numpy(), getattr(table, names)) for table in (query, gallery)
    ]
    numbers, shared = share_names(columns)
    if shared is None:
        return query, gallery
    changes: list[dict[str, Any]] = [
        {column: torch.from_numpy(own), names: shared} for own in numbers
    ]
    return replace(query, **changes[0]), replace(gallery, **changes[1])


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
    paths = [posixpath.normpath(one) for one in table.ids]
    twice = repeated(paths)
    labels = table.labels
    for row, one in enumerate(paths if twice else ()):
        if one in twice and labels[row] != labels[first.setdefault(one, row)]:
            raise DataError(
                f"the {name} table has the id {cut(one)} in row {first[one]} with label "
                f"{int(labels[first[one]])} and in row {row} with label {int(labels[row])}; images "
                "are excluded by their id, so it has to name one image."
            )


def image_numbers_of(query: EmbeddingTable, gallery: EmbeddingTable) -> tuple[Tensor, Tensor]:
    """Return ``[Q]`` and ``[G]`` int64 from 0, equal for the same image.

    Images are the same if the tables' ``images`` are equal; where a table has none, if their ids
    are equal paths, however these are spelled (``a//./b.jpg``).

    Raises:
        DataError: If ids that identify images have two labels in one table.
    """
    if query.images is not None and gallery.images is not None:
        _, numbers = torch.unique(torch.cat([query.images, gallery.images]), return_inverse=True)
        return numbers[: len(query)], numbers[len(query) :]
    check_ids(query, "query")
    check_ids(gallery, "gallery")
    number: dict[str, int] = {}
    rows = [
        [number.setdefault(posixpath.normpath(name), len(number)) for name in table.ids]
        for table in (query, gallery)
    ]
    return torch.tensor(rows[0]), torch.tensor(rows[1])


def _rows_of_own_images(query: Tensor, gallery: Tensor) -> Tensor:
    """Return ``[Q]``: the gallery row with each query's id, -1 for none."""
    found = torch.full((int(torch.cat([query, gallery]).max()) + 1,), -1)
    found[gallery] = torch.arange(len(gallery))
    return found[query]
