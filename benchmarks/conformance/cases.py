"""The defect list as cases: each a small problem, the metrics asked for, one line of definition."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.conformance.problem import Array, Problem

NAN_ROW = 137


@dataclass(frozen=True)
class Case:
    """What is asked and what is right.

    Attributes:
        name: Short.
        definition: What is right, in one line.
        problems: Each has to be answered.
        metrics: What is asked; a system is asked for those it offers.
        right: The answers have to be right, not only the same for all problems.
        same: How far the answers of the problems may lie apart.
        refused: The right answer is an error that names the row.
    """

    name: str
    definition: str
    problems: tuple[Problem, ...]
    metrics: tuple[str, ...]
    right: bool = True
    same: float = math.inf
    refused: bool = False


def unit(rows: Array) -> Array:
    """Return rows of length one, float32."""
    rows = np.asarray(rows, dtype=np.float64)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def angles(*degrees: float) -> Array:
    """Return points of the unit circle."""
    turns = np.deg2rad(np.asarray(degrees))
    return unit(np.stack([np.cos(turns), np.sin(turns)], axis=1))


def cloud(
    seed: int, num_queries: int, num_items: int, num_labels: int, *, lone: int = 0, noise: float = 1
) -> Problem:
    """Draw a problem; the last ``lone`` queries have no relevant item."""
    rng = np.random.default_rng(seed)
    query_labels = rng.integers(0, num_labels, num_queries)
    gallery_labels = rng.permutation(np.arange(num_items) % num_labels)
    centres = rng.standard_normal((num_labels, 32))
    tables = [
        unit(centres[labels] + noise * rng.standard_normal((len(labels), 32)))
        for labels in (query_labels, gallery_labels)
    ]
    query_labels[num_queries - lone :] = num_labels + np.arange(lone)
    return Problem(*tables, query_labels, gallery_labels)


def _labels(*values: int) -> Array:
    return np.asarray(values, dtype=np.int64)


def _means() -> list[Case]:
    first = Problem(angles(0, 90), angles(5, 95, 170), _labels(1, 2), _labels(1, 2, 3))
    perfect = cloud(1, 40, 60, 6, noise=0.05)
    opposite = Problem(
        angles(0, 10), angles(100, 120, 140, 160, 205), _labels(1, 2), _labels(2, 1, 3, 1, 2)
    )
    many = Problem(
        angles(0, 90),
        angles(1, 20, 60, 80),
        _labels(2**24, 2**24 + 1),
        _labels(2**24 + 1, 2**24, 2**24 + 1, 2**24),
    )
    basic = ("recall@1", "mAP", "mINP")
    return [
        Case(
            "single relevant item first",
            "One relevant item, at rank 1: mINP = 1 / 1 = 1, and so are Recall@1 and mAP.",
            (first,),
            basic,
        ),
        Case("perfect ranking", "All relevant items first: every metric is 1.", (perfect,), basic),
        Case(
            "lone queries",
            "A query without a relevant item is left out of the mean of Recall@k, mAP and mINP.",
            (cloud(2, 50, 90, 9, lone=7),),
            (*basic, "recall@5"),
        ),
        Case(
            "negative similarities",
            "A relevant item at a negative cosine is still found, at its rank.",
            (opposite,),
            ("mAP", "recall@5", "MRR"),
        ),
        Case(
            "labels beyond 2^24",
            "Labels are whole numbers: 16777216 and 16777217 are two.",
            (many,),
            ("recall@1", "mAP"),
        ),
    ]


def _cut_offs() -> list[Case]:
    far = Problem(angles(0), angles(1, 40, 20, 60), _labels(1), _labels(2, 1, 3, 1))
    seven = Problem(
        angles(0), angles(*range(10, 130, 10)), _labels(1), _labels(2, 1, 2, 1, 2, 2, *[1] * 6)
    )
    three = Problem(angles(0), angles(1, 2, 3, 50, 60), _labels(1), _labels(1, 2, 3, 1, 1))
    return [
        Case(
            "k beyond the gallery",
            "Recall@10 and mAP@10 of 4 items are those of the whole gallery; nothing is read "
            "behind its end.",
            (far,),
            ("recall@10", "mAP@10"),
        ),
        Case(
            "mAP@5 denominator",
            "mAP@5 is the sum of the precisions at the relevant items of rank 1 to 5, divided by "
            "min(relevant, 5).",
            (seven, cloud(3, 40, 90, 9)),
            ("mAP@5",),
        ),
        Case(
            "precision@5 with a lone query",
            "precision@5 is hits among the first 5, divided by 5, and 0 for a query that can have "
            "none; never NaN.",
            (cloud(4, 20, 60, 12, lone=1),),
            ("precision@5",),
        ),
        Case(
            "what recall means",
            "What is called Recall@1 is the share of queries with a hit at rank 1, not the share "
            "of the relevant items found.",
            (three, cloud(5, 40, 60, 6)),
            ("called recall@1",),
        ),
        Case(
            "R is of the query",
            "MAP@R and R-Precision look at as many items as the query has relevant ones.",
            (cloud(6, 50, 95, 9, lone=3),),
            ("mAP@R", "R-precision"),
        ),
    ]


def _ties() -> list[Case]:
    rng = np.random.default_rng(7)
    spread = cloud(8, 30, 60, 6)
    point = np.zeros((1, 32), dtype=np.float32)
    point[0, 3] = 1.0
    collapsed = replace(spread, query=point.repeat(30, 0), gallery=point.repeat(60, 0))
    twice = cloud(9, 30, 40, 5)
    copies = np.concatenate([twice.gallery_labels, (twice.gallery_labels + 1) % 5])
    doubled = replace(twice, gallery=np.concatenate([twice.gallery] * 2), gallery_labels=copies)
    orders = [np.arange(60), np.arange(60)[::-1], rng.permutation(60)]
    by_label = np.argsort(spread.gallery_labels, kind="stable")
    basic = ("recall@1", "mAP", "mINP")
    return [
        Case(
            "all ties",
            "All images at one point: the answer lies between the worst and the best order of the "
            "ties and is the same for every order of the rows.",
            tuple(collapsed.with_gallery(o) for o in [*orders, by_label, by_label[::-1]]),
            basic,
            same=0.0,
        ),
        Case(
            "copies under another label",
            "Each item has a copy with another label: as for all ties.",
            tuple(doubled.with_gallery(o) for o in (np.arange(80), np.roll(np.arange(80), 40))),
            basic,
            same=0.0,
        ),
        Case(
            "permuted gallery",
            "The order of the gallery changes nothing, to the last bit.",
            tuple(spread.with_gallery(order) for order in orders),
            basic,
            right=False,
            same=0.0,
        ),
    ]


def _one_set() -> tuple[Problem, Problem]:
    """Return queries that are the gallery, and the same with copies among them."""
    one = cloud(12, 60, 60, 12)
    one = replace(one, query=one.gallery, query_labels=one.gallery_labels, same_images=True)
    # images 0 and 1 have the same pixels and labels; 2 is a copy of 3 with another label
    rows = one.gallery.copy()
    labels = one.gallery_labels.copy()
    rows[1], labels[1], rows[2] = rows[0], labels[0], rows[3]
    labels[2] = (labels[3] + 1) % 12
    return one, replace(one, query=rows, gallery=rows, query_labels=labels, gallery_labels=labels)


def _removal() -> list[Case]:
    rng = np.random.default_rng(10)
    junk = Problem(
        angles(0, 5),
        angles(1, 2, 100, 120, 150, 170),
        _labels(1, 2),
        _labels(1, 2, 3, 1, 4, 2),
        _labels(1, 1),
        _labels(1, 1, 1, 2, 2, 2),
    )
    many = cloud(11, 40, 90, 9)
    many = replace(
        many, query_cameras=rng.integers(0, 3, 40), gallery_cameras=rng.integers(0, 3, 90)
    )
    one, copied = _one_set()
    basic = ("recall@1", "mAP", "mINP")
    return [
        Case(
            "camera junk",
            "Items of the query's label and camera are taken out of the ranking; they are not left "
            "in it at similarity 0, before items at negative similarities.",
            (junk, many),
            basic,
        ),
        Case(
            "k beyond what is left",
            "After 4 of 6 items are removed, the hit at rank 1 of the 2 left counts for Recall@5 "
            "too.",
            (
                Problem(
                    angles(0, 5),
                    angles(10, 20, 30, 40, 50, 170),
                    _labels(1, 2),
                    _labels(2, 2, 2, 2, 2, 1),
                    _labels(1, 1),
                    _labels(1, 1, 1, 1, 2, 2),
                ),
            ),
            ("recall@1", "recall@5"),
        ),
        Case(
            "a query does not find itself",
            "Where queries and gallery are one set, the image itself is removed, and nothing else: "
            "also beside a copy of it.",
            (one, copied),
            ("recall@1", "mAP", "mINP", "mAP@R"),
        ),
    ]


def _flow() -> list[Case]:
    lone = cloud(13, 300, 200, 40, lone=5)
    rng = np.random.default_rng(14)
    damaged = cloud(15, 20, 200, 10)
    gallery = damaged.gallery.copy()
    gallery[NAN_ROW, 5] = np.nan
    basic = ("recall@1", "mAP", "mINP")
    return [
        Case(
            "block size",
            "How many queries are handled at a time changes nothing, also if all queries of a "
            "block are lone.",
            tuple(replace(lone, block_size=size) for size in (4, 16, 64, 300)),
            basic,
            right=False,
            same=1e-6,
        ),
        Case(
            "order of the queries",
            "The order of the queries changes nothing.",
            (lone, *(lone.with_queries(rng.permutation(300)) for _ in range(2))),
            basic,
            right=False,
            same=1e-6,
        ),
        Case(
            "NaN is refused",
            f"An embedding that is not finite is an error that names the image or its row "
            f"({NAN_ROW}).",
            (replace(damaged, gallery=gallery),),
            ("recall@1", "mAP"),
            refused=True,
        ),
    ]


def all_cases() -> list[Case]:
    """Return every case, in the order of the table."""
    return [*_means(), *_cut_offs(), *_ties(), *_removal(), *_flow()]
