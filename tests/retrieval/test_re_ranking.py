"""Re-ranking: the paper's algorithm with whole matrices, ties, two ways to compute, memory."""

import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lookalike.errors import DataError
from lookalike.retrieval import ReRanking, nearest, products, rank_relevant, sparse
from lookalike.retrieval.re_ranking import needed_bytes
from lookalike.retrieval.reciprocal import describe
from lookalike.retrieval.shares import in_shares


def plainly():
    """Take numba away."""
    return mock.patch.multiple(nearest, _kernel=lambda: None), mock.patch.multiple(
        sparse, _kernel=lambda: None, _PAIRS=7
    )


def small_tiles():
    return mock.patch.multiple(products, BLOCK=16, TILE=16)


def oracle(points, num_queries, k1, k2, lamb):
    """The paper's algorithm; an image comes first among its nearest, then the smaller number."""
    points, number = np.asarray(points, np.float64), len(points)
    squared = ((points[:, None] - points) ** 2).sum(axis=2)
    scaled = squared / np.maximum(squared.max(axis=1, keepdims=True), 1e-12)
    keys = squared - np.eye(number)
    near = np.argsort(keys, axis=1, kind="stable")
    described = np.zeros((number, number))

    def reciprocal(i, k):
        return {j for j in near[i, : k + 1] if i in near[j, : k + 1]}

    for i in range(number):
        own = reciprocal(i, k1)
        members = set(own)
        for j in own:
            theirs = reciprocal(j, round(k1 / 2))
            if 3 * len(theirs & own) > 2 * len(theirs):
                members |= theirs
        columns = sorted(members)
        weights = np.exp(-scaled[i, columns])
        described[i, columns] = weights / weights.sum()
    described = np.stack([described[near[i, :k2]].mean(axis=0) for i in range(number)])
    common = np.minimum(described[:num_queries, None], described[None, num_queries:]).sum(axis=2)
    return (1 - lamb) * (1 - common / (2 - common)) + lamb * scaled[:num_queries, num_queries:]


# whole numbers: distances are exact in float32, and there are many ties and copies
grids = st.tuples(st.integers(2, 40), st.integers(1, 2)).flatmap(
    lambda shape: arrays(np.int64, shape, elements=st.integers(-3, 3))
)


@settings(max_examples=120, deadline=None)
@given(points=grids, k1=st.integers(1, 45), k2=st.integers(1, 45), data=st.data())
def test_ties_and_copies(points, k1, k2, data):
    num_queries = data.draw(st.integers(1, len(points) - 1))
    query, gallery = torch.tensor(points).float().split([num_queries, len(points) - num_queries])
    with small_tiles():
        found = ReRanking(query, gallery, k1=k1, k2=k2, lamb=0.4)
    distances = found.distances(torch.arange(num_queries)).numpy()
    np.testing.assert_allclose(distances, oracle(points, num_queries, k1, k2, 0.4), atol=1e-5)


@pytest.mark.parametrize("k1", [1, 2, 5, 7, 9, 13])
@pytest.mark.parametrize("seed", range(4))
def test_no_ties(k1, seed):
    points = clusters(60, 3, seed)
    found = ReRanking(points[:20], points[20:], k1=k1, k2=2).distances(torch.arange(20))
    np.testing.assert_allclose(found, oracle(points.numpy(), 20, k1, 2, 0.3), atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(points=grids, k1=st.integers(1, 9), k2=st.integers(1, 5))
def test_with_and_without_numba(points, k1, k2):
    query, gallery = torch.tensor(points).float()[:1], torch.tensor(points).float()[1:]
    rows = torch.zeros(1, dtype=torch.int64)
    without_nearest, without_shared = plainly()
    with small_tiles():
        compiled = ReRanking(query, gallery, k1=k1, k2=k2).distances(rows)
        with without_nearest, without_shared:
            plain = ReRanking(query, gallery, k1=k1, k2=k2).distances(rows)
    assert torch.equal(compiled, plain)


def clusters(number, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(number // 8 + 1, width, generator=generator)
    return centres[torch.arange(number) % len(centres)] + 0.7 * torch.randn(
        number, width, generator=generator
    )


def test_a_query_does_not_depend_on_its_company():
    points = clusters(5200, 24)
    found = ReRanking(points[:600], points[600:])
    whole = found.distances(torch.arange(600))
    some = torch.tensor([599, 3, 3, 301])
    assert torch.equal(found.distances(some), whole[some])
    assert torch.equal(found.similarity(some[:1]), -whole[some[:1]])
    assert found.distances(some[:0]).shape == (0, 4600)
    without_nearest, without_shared = plainly()
    with without_nearest, without_shared:
        plain = ReRanking(points[:600], points[600:])
        assert torch.equal(plain.distances(some), whole[some])


def test_the_order_of_the_gallery_does_not_matter_without_ties():
    points = clusters(300, 8)
    order = torch.randperm(250, generator=torch.Generator().manual_seed(0))
    straight = ReRanking(points[:50], points[50:]).distances(torch.arange(50))
    shuffled = ReRanking(points[:50], points[50:][order]).distances(torch.arange(50))
    torch.testing.assert_close(shuffled, straight[:, order], atol=1e-5, rtol=0)


def test_bounds():
    points = clusters(200, 8)
    rows = torch.arange(40)
    distances = ReRanking(points[:40], points[40:]).distances(rows)
    assert distances.min() >= -1e-6
    assert distances.max() <= 1.0 + 1e-6
    original = ReRanking(points[:40], points[40:], lamb=1.0).distances(rows)
    squared = torch.cdist(points[:40].double(), points.double()).square()
    expected = (squared / squared.amax(dim=1, keepdim=True))[:, 40:]
    torch.testing.assert_close(original, expected.float(), atol=1e-5, rtol=0)


def test_more_threads_find_the_same():
    points = clusters(400, 8)
    threads = torch.get_num_threads()
    once = ReRanking(points[:100], points[100:])
    described = sparse.shared(once.described, once.turned, 300)
    try:
        torch.set_num_threads(3)
        assert torch.equal(sparse.shared(once.described, once.turned, 300), described)
        assert torch.get_num_threads() == 3
        with pytest.raises(ZeroDivisionError):
            in_shares(lambda start, stop: 1 // 0, 9)
    finally:
        torch.set_num_threads(threads)


def test_one_image_each_and_one_point():
    same = torch.zeros(1, 4)
    assert ReRanking(same, same, lamb=0.3).distances(torch.tensor([0])).tolist() == [[0.0]]
    copies = torch.ones(30, 4)
    found = ReRanking(copies[:3], copies[3:], k1=2, k2=1).distances(torch.arange(3))
    np.testing.assert_allclose(found, oracle(copies.numpy(), 3, 2, 1, 0.3), atol=1e-6)


def test_no_description_is_larger_than_the_bound():
    for k1 in (1, 4, 20):
        points = clusters(900, 3, seed=k1)
        near = nearest.nearest_rows(
            points, points, k1 + 1, own=torch.arange(900), own_key=float("inf")
        )
        sizes = describe(points, near.numbers, torch.ones(900), k1).sizes
        assert int(sizes.max()) <= (k1 + 1) * (round(k1 / 2) // 3 + 2)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("own", [None, "out", "first"])
@settings(max_examples=40, deadline=None)
@given(points=grids, k=st.integers(1, 50), plain=st.booleans())
def test_nearest_rows_settle_ties(squared, own, points, k, plain):
    vectors = torch.tensor(points).float()
    products = points @ points.T
    squares = np.diag(products)
    keys = (2 * products - squares[:, None] - squares if squared else products).astype(float)
    lowest = np.where((np.eye(len(points)) == 1) & bool(own), np.inf, keys)
    if own:
        np.fill_diagonal(keys, -np.inf if own == "out" else np.inf)
    order = np.argsort(-keys, axis=1, kind="stable")[:, :k]
    expected = np.take_along_axis(keys, order, axis=1)
    kernel = (lambda: None) if plain else nearest._kernel
    with small_tiles(), mock.patch.object(nearest, "_kernel", kernel):
        found = nearest.nearest_rows(
            vectors,
            vectors,
            k,
            squares=(vectors.square().sum(1),) * 2 if squared else None,
            own=torch.arange(len(points)) if own else None,
            own_key=float("inf") if own == "first" else float("-inf"),
        )
    np.testing.assert_array_equal(found.keys, expected)
    np.testing.assert_array_equal(found.numbers, np.where(expected == -np.inf, 0, order))
    np.testing.assert_array_equal(found.lowest, lowest.min(axis=1))


MEASURE = """
import resource, torch
torch.set_num_threads(1)
from lookalike.retrieval import ReRanking
points = torch.randn({number}, 16, generator=torch.Generator().manual_seed(0))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
ReRanking(points[:40], points[40:80], k1=6, k2=2).distances(torch.arange(2))
before = peak()
found = ReRanking(points[:{half}], points[{half}:], k1=6, k2=2)
for rows in torch.arange({half}).split(256)[:4]:
    found.distances(rows)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux alone")
def test_memory_stays_within_the_bound():
    """A matrix of all pairs would take 1.6 GB, and one of truth values 400 MB."""
    number = 20_000
    code = MEASURE.format(number=number, half=number // 2)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    bound = needed_bytes(number // 2, number // 2, 16, k1=6, k2=2)
    assert bound < number**2
    assert int(done.stdout) < bound


def test_the_bound_of_the_issue():
    assert needed_bytes(20_000, 20_000, 512) < 2e9


def test_feeds_a_ranking():
    points = clusters(120, 6)
    labels = torch.arange(120) % 16
    found = ReRanking(points[:30], points[30:])
    ranks = rank_relevant(
        points[:30], points[30:], labels[:30], labels[30:], similarity=found.similarity
    )
    similarity = found.similarity(torch.arange(30))
    first = torch.arange(30)[ranks.counts > 0][0]
    relevant = labels[30:] == labels[first]
    best = similarity[first][relevant].max()
    assert int(ranks.above[0]) == int((similarity[first][~relevant] > best).sum())


@pytest.mark.parametrize("values", [{"k1": 0}, {"k2": 0}, {"lamb": 1.5}, {"lamb": -0.1}])
def test_values_that_mean_nothing(values):
    with pytest.raises(
        ValueError, match=r"k[12] must be a whole number of at least 1|re-ranking needs|lamb"
    ):
        ReRanking(torch.eye(2), torch.eye(2), **values)


@pytest.mark.parametrize(
    ("query", "gallery", "message"),
    [
        (torch.eye(3), torch.eye(2), "got .3, 3. and .2, 2."),
        (torch.eye(3)[:0], torch.eye(3), "a query and a gallery image"),
        (torch.eye(3), torch.eye(3).log(), "gallery row 0 is not finite"),
    ],
)
def test_tables_that_cannot_be_compared(query, gallery, message):
    with pytest.raises(DataError, match=message):
        ReRanking(query, gallery)
