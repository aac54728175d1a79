"""Bits and bytes against the numbers they stand for, and the curve of recall against bytes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lookalike.errors import DataError
from lookalike.geometry import unit
from lookalike.retrieval import MeanAveragePrecision, RecallAtK, codes, rank_relevant
from lookalike.retrieval.byte_curve import recall_per_byte
from lookalike.retrieval.codes import BinaryCodes, Int8Codes
from lookalike.retrieval.evaluate import evaluate_retrieval
from lookalike.types import EmbeddingTable

tables = st.tuples(st.integers(1, 12), st.integers(1, 80)).flatmap(
    lambda shape: arrays(
        np.float32, shape, elements=st.floats(-4, 4, width=32, allow_subnormal=False)
    )
)


def pair(table, data):
    """Two tables of one width."""
    rows = data.draw(st.integers(1, 9))
    seed = data.draw(st.integers(0, 99))
    other = np.random.default_rng(seed).normal(size=(rows, table.shape[1])).astype(np.float32)
    return torch.from_numpy(table), torch.from_numpy(other)


@settings(max_examples=80, deadline=None)
@given(table=tables, data=st.data())
def test_bits(table, data):
    gallery, query = pair(table, data)
    found, asked = BinaryCodes.of(gallery), BinaryCodes.of(query)
    signs, asking = torch.where(gallery > 0, 1.0, -1.0), torch.where(query > 0, 1.0, -1.0)
    rows = torch.arange(len(query)).flip(0)
    assert found.packed.shape == (len(gallery), -(-gallery.shape[1] // 8))
    assert found.bytes_each == found.packed.shape[1]
    assert torch.equal(found.take(torch.arange(len(gallery)).flip(0)), signs.flip(0))
    hamming = (asking[:, None] != signs).sum(dim=2)
    assert torch.equal(found.hamming(asked, rows).long(), hamming[rows])
    assert torch.equal(found.symmetric(asked, rows), (asking @ signs.T)[rows])
    torch.testing.assert_close(found.asymmetric(query), query @ signs.T)


@settings(max_examples=80, deadline=None)
@given(table=tables, scale=st.sampled_from(["dimension", "global"]), data=st.data())
def test_bytes(table, scale, data):
    gallery, query = pair(table, data)
    found = Int8Codes.of(gallery, scale)
    unpacked = found.take(torch.arange(len(gallery)))
    assert torch.equal(unpacked, found.codes.float() * found.steps)
    assert float((unpacked - gallery).abs().sub(0.501 * found.steps).max()) <= 0.0
    assert int(found.codes.min()) >= -127
    asked = Int8Codes.of(query, steps=found.steps)
    rows = torch.arange(len(query)).flip(0)
    expected = asked.take(rows).double() @ unpacked.double().T
    torch.testing.assert_close(
        found.symmetric(asked, rows).double(), expected, rtol=1e-4, atol=1e-4
    )
    expected = query.double() @ unpacked.double().T
    torch.testing.assert_close(found.asymmetric(query).double(), expected, rtol=1e-4, atol=1e-4)


@given(table=tables)
@settings(max_examples=40, deadline=None)
def test_a_step_for_each_dimension_is_never_larger_than_one_for_all(table):
    each, all_ = (Int8Codes.of(torch.from_numpy(table), scale) for scale in ("dimension", "global"))
    assert len(all_.steps.unique()) == 1
    nonzero = torch.from_numpy(table).abs().amax(dim=0) > 0
    assert (each.steps <= all_.steps)[nonzero].all()


def test_queries_out_of_reach_are_cut_off():
    gallery = Int8Codes.of(torch.tensor([[1.0, -0.5]]))
    query = Int8Codes.of(torch.tensor([[7.0, -7.0]]), steps=gallery.steps)
    assert query.codes.tolist() == [[127, -127]]


@pytest.mark.parametrize("kind", [BinaryCodes, Int8Codes])
def test_zeros_one_image_and_copies(kind):
    zeros = torch.zeros(1, 3)
    found = kind.of(zeros)
    assert found.take(torch.tensor([0])).abs().max() <= 1.0
    assert torch.isfinite(found.asymmetric(torch.ones(1, 3))).all()
    copies = kind.of(torch.tensor([[0.3, -0.2, 0.0]]).repeat(5, 1))
    same = copies.symmetric(copies, torch.arange(5))
    assert len(same.unique()) == 1
    assert copies.shape == (5, 3)
    assert kind.of(torch.full((1, 3), 1e-45)).take(torch.tensor([0])).isfinite().all()
    half = kind.of(torch.tensor([[0.5, -0.5]], dtype=torch.float16))
    assert half.shape == (1, 2)


@pytest.mark.parametrize("kind", [BinaryCodes, Int8Codes])
@pytest.mark.parametrize("table", [torch.zeros(0, 3), torch.zeros(3), torch.eye(2).log()])
def test_tables_without_codes(kind, table):
    with pytest.raises(DataError):
        kind.of(table)


def clusters(number=300, width=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(number) % 25
    centres = torch.randn(25, width, generator=generator)
    noise = torch.randn(number, width, generator=generator)
    return 3.0 * (centres[labels] + noise), labels


def as_table(points, labels, cameras=None):
    return EmbeddingTable(points, labels, [str(number) for number in range(len(labels))], cameras)


@pytest.mark.parametrize("kind", [BinaryCodes, Int8Codes])
def test_three_ways_to_rank_by_codes(kind, monkeypatch):
    """As rows, by blocks of similarities, and as the embeddings they stand for."""
    monkeypatch.setattr(codes, "_COLUMNS", 64)
    points, labels = clusters()
    query, gallery = unit(points[:90]), unit(points[90:])
    stored = kind.of(gallery)
    asked = kind.of(query) if kind is BinaryCodes else kind.of(query, steps=stored.steps)
    about = (labels[:90], labels[90:])
    ways = {
        "symmetric": (asked, lambda rows: stored.symmetric(asked, rows)),
        "asymmetric": (query, lambda rows: stored.asymmetric(query[rows])),
    }
    for queries, similarity in ways.values():
        vectors = queries if isinstance(queries, torch.Tensor) else queries.take(torch.arange(90))
        unpacked = rank_relevant(vectors, stored.take(torch.arange(210)), *about)
        as_rows = rank_relevant(queries, stored, *about)
        assert torch.equal(as_rows.ranks, unpacked.ranks)
        in_blocks = rank_relevant(vectors, gallery, *about, similarity=similarity)
        found, expected = (
            MeanAveragePrecision().per_query(ranks)["mAP"] for ranks in (in_blocks, unpacked)
        )
        # sums of signs are exact; of other numbers they differ in the last digits
        exact = kind is BinaryCodes and queries is asked
        torch.testing.assert_close(found, expected, atol=0.0 if exact else 1e-2, rtol=0.0)


def test_the_curve():
    points, labels = clusters()
    cameras = torch.arange(300) // 25 % 4
    query = as_table(points[:100], labels[:100], cameras[:100])
    gallery = as_table(points[100:], labels[100:], cameras[100:])
    gallery.ids[:] = [f"g{number}" for number in range(200)]
    metrics = [RecallAtK([1, 5]), MeanAveragePrecision()]
    found = recall_per_byte(query, gallery, metrics, widths=[40, 20, 9])
    assert [(p.width, p.form, p.query, p.bytes_each) for p in found[:6]] == [
        (40, "float32", "same", 160),
        (40, "float16", "same", 80),
        (40, "int8", "same", 40),
        (40, "int8", "float32", 40),
        (40, "binary", "same", 5),
        (40, "binary", "float32", 5),
    ]
    assert [p.bytes_each for p in found[12:]] == [36, 18, 9, 9, 2, 2]
    assert found[0].values == evaluate_retrieval(query, gallery, metrics).values
    short = [as_table(t.embeddings[:, :20], t.labels, t.cameras) for t in (query, gallery)]
    assert found[6].values == evaluate_retrieval(*short, metrics).values
    signs = [as_table(t.embeddings.sign(), t.labels, t.cameras) for t in (query, gallery)]
    assert found[4].values == evaluate_retrieval(*signs, metrics, normalize=False).values
    for point in found[:4]:
        assert point.values["mAP"] == pytest.approx(found[0].values["mAP"], abs=0.01)
    assert found[0].values["mAP"] > found[5].values["mAP"] > found[4].values["mAP"] > 0.2


def test_the_curve_leaves_out_the_same_image():
    points, labels = clusters(100)
    table = as_table(points, labels)
    metrics = [MeanAveragePrecision()]
    found = recall_per_byte(table, table, metrics, forms=["float32"], same_images=True)
    expected = evaluate_retrieval(table, table, metrics, same_images=True)
    assert [point.values for point in found] == [expected.values]


def test_the_curve_of_one_image_each():
    table = as_table(torch.zeros(1, 3), torch.zeros(1, dtype=torch.int64))
    found = recall_per_byte(table, table)
    assert [point.values["recall1"] for point in found] == [1.0] * 6


@pytest.mark.parametrize("wrong", [{"forms": ["int4"]}, {"widths": [0]}, {"widths": [4]}])
def test_a_curve_that_means_nothing(wrong):
    table = as_table(torch.eye(3), torch.arange(3))
    with pytest.raises(ValueError, match="widths are from 1 to 3"):
        recall_per_byte(table, table, **wrong)
