"""What smaller forms of the embeddings find: recall against bytes."""

# Shape letters: D = dimensions

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor

from lookalike.geometry import unit
from lookalike.retrieval.codes import BinaryCodes, Int8Codes
from lookalike.retrieval.evaluate import check_tables
from lookalike.retrieval.metric import RetrievalMetric, mean
from lookalike.retrieval.metrics import RecallAtK
from lookalike.retrieval.rank_relevant import rank_relevant
from lookalike.retrieval.rows import Rows, Table
from lookalike.retrieval.rules import image_numbers_of
from lookalike.types import EmbeddingTable

Form = Literal["float32", "float16", "int8", "binary"]


@dataclass(frozen=True)
class CurvePoint:
    """What a form of the embeddings costs and finds.

    Attributes:
        form: How the gallery is stored.
        width: Dimensions kept.
        query: Queries in the same form, or as float32.
        bytes_each: Bytes of a gallery image.
        values: Metric to its mean over the answerable queries.
    """

    form: Form
    width: int
    query: Literal["same", "float32"]
    bytes_each: int
    values: dict[str, float]


def recall_per_byte(
    query: EmbeddingTable,
    gallery: EmbeddingTable,
    metrics: Sequence[RetrievalMetric] | None = None,
    *,
    forms: Sequence[Form] = get_args(Form),
    widths: Sequence[int] | None = None,
    same_images: bool = False,
) -> list[CurvePoint]:
    """Score smaller and smaller forms of the embeddings, by cosine.

    For each width the first dimensions are kept and scaled to length one, as is meant for
    Matryoshka embeddings, and stored in each form. int8 and binary are searched with queries of
    the same form and with float32 queries. Steps of int8 are the gallery's. Hamming distances tie
    often; the metrics settle ties, by default against the query.

    Source: Kusupati et al., "Matryoshka Representation Learning", NeurIPS 2022 (widths).

    Args:
        query: The queries; its cameras, if any, exclude items of the same label and camera.
        gallery: What is searched.
        metrics: Recall@1 by default.
        forms: Any of float32, float16, int8, binary.
        widths: Any numbers of dimensions up to D; D alone by default.
        same_images: Ids in both tables name the same images; a query's own id is excluded.

    Returns:
        One point for each width, form and kind of queries, in this order.

    Raises:
        DataError: If the tables do not fit each other or no query can be answered.
        ValueError: If a form is unknown or a width is not from 1 to D.

    Example:
        >>> ids = [str(number) for number in range(32)]
        >>> table = EmbeddingTable(torch.eye(16).repeat(2, 1), torch.arange(16).repeat(2), ids)
        >>> forms = ["float16", "binary"]
        >>> for point in recall_per_byte(table, table, forms=forms, same_images=True):
        ...     print(point.form, point.query, point.bytes_each, point.values)
        float16 same 32 {'recall1': 1.0}
        binary same 2 {'recall1': 1.0}
        binary float32 2 {'recall1': 1.0}
    """
    check_tables(query, gallery)
    full = gallery.embeddings.shape[1]
    unknown = [form for form in forms if form not in get_args(Form)]
    wrong = [width for width in widths or [] if not 1 <= width <= full]
    if unknown or wrong:
        raise ValueError(
            f"forms are {', '.join(get_args(Form))} and widths are from 1 to {full}; got "
            f"{', '.join(map(str, [*unknown, *wrong]))}."
        )
    score = partial(_scores, query, gallery, metrics or [RecallAtK([1])], same_images)
    points: list[CurvePoint] = []
    for width in [full] if widths is None else widths:
        left, right = (unit(table.embeddings[:, :width]) for table in (query, gallery))
        for form in forms:
            stored, bytes_each, same = _stored(form, left, right)
            kinds: list[tuple[Literal["same", "float32"], Rows]] = [("same", same)]
            kinds += [("float32", Table(left, "query"))] if form in ("int8", "binary") else []
            for kind, queries in kinds:
                values = score(queries, stored)
                points.append(CurvePoint(form, width, kind, bytes_each, values))
    return points


def _scores(
    query: EmbeddingTable,
    gallery: EmbeddingTable,
    metrics: Sequence[RetrievalMetric],
    same_images: bool,
    queries: Rows,
    items: Rows,
) -> dict[str, float]:
    """Score rows in the place of the embeddings of two tables."""
    ids = image_numbers_of(query, gallery) if same_images else (None, None)
    ranks = rank_relevant(
        queries,
        items,
        query.labels,
        gallery.labels,
        query_cameras=query.cameras,
        gallery_cameras=None if query.cameras is None else gallery.cameras,
        query_ids=ids[0],
        gallery_ids=ids[1],
    )
    values: dict[str, float] = {}
    for metric in metrics:
        values |= {name: mean(each) for name, each in metric.per_query(ranks).items()}
    return values


def _stored(form: Form, query: Tensor, gallery: Tensor) -> tuple[Rows, int, Rows]:
    """Return the gallery in a form, its bytes for each image, and the queries in it."""
    if form == "int8":
        codes = Int8Codes.of(gallery)
        return codes, codes.bytes_each, Int8Codes.of(query, steps=codes.steps)
    if form == "binary":
        signs = BinaryCodes.of(gallery)
        return signs, signs.bytes_each, BinaryCodes.of(query)
    kind = torch.float16 if form == "float16" else torch.float32
    items = Table(gallery.to(kind), "gallery")
    return items, gallery.shape[1] * kind.itemsize, Table(query.to(kind), "query")
