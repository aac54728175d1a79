"""Ranking does not depend on memory, order, threads, processes, or on where the tables lie."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from lookalike.retrieval import RelevantRanks, rank_relevant
from lookalike.retrieval.rank_relevant import shared_rows
from lookalike.retrieval.rows import Table


@pytest.fixture(scope="module")
def tables():
    """Several blocks of queries and several tiles, with copies, so that bits matter."""
    generator = torch.Generator().manual_seed(1)
    query, gallery = (torch.randn(n, 48, generator=generator) for n in (600, 9000))
    gallery[4000:4300] = gallery[:300]  # copies are as similar as their originals, to the bit
    labels = [torch.randint(90, (n,), generator=generator) for n in (600, 9000)]
    return query, gallery, *labels


def same(one, other):
    return all(
        torch.equal(getattr(one, part), getattr(other, part))
        for part in ("above", "tied", "counts", "num_candidates")
    )


@pytest.fixture(scope="module")
def expected(tables):
    return rank_relevant(*tables)


def test_copies_are_tied(expected):
    assert expected.has_ties


@pytest.mark.parametrize("memory", [1, 300_000, 10**8])
def test_any_memory_gives_the_same(tables, expected, memory):
    assert same(rank_relevant(*tables, memory=memory), expected)


def test_any_order_of_the_gallery_gives_the_same(tables, expected):
    query, gallery, labels, gallery_labels = tables
    for seed in range(3):
        order = torch.randperm(9000, generator=torch.Generator().manual_seed(seed))
        found = rank_relevant(query, gallery[order], labels, gallery_labels[order])
        assert same(found, expected)


def test_any_order_of_the_queries_gives_the_same(tables, expected):
    query, gallery, labels, gallery_labels = tables
    order = torch.randperm(600, generator=torch.Generator().manual_seed(5))
    found = rank_relevant(query[order], gallery, labels[order], gallery_labels)
    assert same(found, expected.of(order))


def test_any_number_of_threads_gives_the_same(tables, expected):
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            assert same(rank_relevant(*tables), expected)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("of", [2, 3, 7])
def test_shares_of_several_processes_join_to_the_whole(tables, expected, of):
    parts = [rank_relevant(*tables, share=(number, of)) for number in range(of)]
    rows = [shared_rows(tables[2], (number, of)) for number in range(of)]
    assert same(RelevantRanks.joined(parts, rows), expected)


def test_a_table_in_a_file_gives_the_same(tables, expected, tmp_path):
    query, gallery, labels, gallery_labels = tables
    np.save(tmp_path / "g.npy", gallery.numpy())
    mapped = Table(np.load(tmp_path / "g.npy", mmap_mode="r"), "gallery")
    assert same(rank_relevant(query, mapped, labels, gallery_labels), expected)


MEMORY = """
import resource, sys
import numpy as np, torch
from lookalike.retrieval.rank_relevant import rank_relevant
from lookalike.retrieval.rows import Table
torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
query = torch.randn(2000, 32, generator=generator)
labels = torch.randint(2000, (2000,), generator=generator)
gallery = Table(np.memmap(sys.argv[1], np.float32, "r", shape=(int(sys.argv[2]), 32)), "gallery")
gallery_labels = torch.randint(2000, (int(sys.argv[2]),), generator=generator)
rank_relevant(query[:16], gallery, labels[:16], gallery_labels)  # compiled and mapped
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rank_relevant(query, gallery, labels, gallery_labels, memory=20_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_is_a_bound_and_not_queries_times_gallery(tmp_path):
    """2,000 x 300,000 similarities would be 2.4 GB."""
    size = 300_000
    rng = np.random.default_rng(0)
    rng.standard_normal((size, 32), dtype=np.float32).tofile(tmp_path / "g.f32")
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "g.f32"), str(size)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    # the bound, the ranks (8 bytes of two counts for each of 300 relevant items on average), tiles
    ranks = 2 * 8 * 2000 * size / 2000 * 3
    assert int(done.stdout) * 1024 < 20e6 + ranks + 60e6


def test_an_embedding_that_is_not_finite_is_named(tables):
    query, gallery, labels, gallery_labels = tables
    broken = gallery.clone()
    broken[7000, 3] = torch.nan
    named = Table(broken, "gallery", names=[f"image_{i}.jpg" for i in range(9000)])
    with pytest.raises(ValueError, match=r"gallery row 7000 \(image_7000.jpg\) is not finite"):
        rank_relevant(query, named, labels, gallery_labels)


def test_given_similarities_are_asked_for_once():
    rng = np.random.default_rng(0)
    query, gallery = (torch.from_numpy(rng.integers(-4, 5, (600, 8))).float() for _ in "qg")
    labels, asked = torch.arange(600) % 50, []

    def similarity(rows):
        asked.append(rows)
        return query[rows] @ gallery.T

    found = rank_relevant(query, gallery, labels, labels, similarity=similarity)
    assert torch.cat(asked).sort().values.tolist() == list(range(600))
    assert torch.equal(found.ranks, rank_relevant(query, gallery, labels, labels).ranks)
