"""Query expansion and database-side augmentation, against their definition in float64."""

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lookalike.errors import DataError
from lookalike.geometry import unit
from lookalike.retrieval import expansion, nearest, products
from lookalike.retrieval.expansion import augment_database, expand_queries


def oracle(query, gallery, n, alpha, own=None):
    """Sort, weigh and add, one query at a time."""

    def scaled(vector):
        length = np.linalg.norm(vector)
        return vector / length if length > 1e-12 else vector

    query, gallery = (np.stack([scaled(v) for v in np.asarray(t, float)]) for t in (query, gallery))
    found = []
    for number, vector in enumerate(query):
        cosines = gallery @ vector
        order = [
            row
            for row in np.argsort(-cosines, kind="stable")
            if own is None or row != int(own[number])
        ]
        total = vector.copy()
        for row in order[: max(n - 1, 0)]:
            total += max(cosines[row], 0.0) ** alpha * gallery[row]
        found.append(scaled(total))
    return np.stack(found)


def normal(number, width, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(number, width, generator=generator, dtype=torch.float64)


sizes = st.integers(1, 30)
alphas = st.sampled_from([0.0, 1.0]) | st.floats(0.0, 4.0)


@settings(max_examples=80, deadline=None)
@given(sizes, sizes, st.integers(2, 5), st.integers(0, 40), alphas, st.integers(0, 99))
def test_expansion_is_its_definition(num_queries, num_gallery, width, n, alpha, seed):
    query, gallery = normal(num_queries, width, seed), normal(num_gallery, width, seed + 100)
    with (
        mock.patch.multiple(products, BLOCK=16, TILE=16),
        mock.patch.object(expansion, "_NUMBERS", 64),
    ):
        found = expand_queries(query, gallery, n=n, alpha=alpha)
    np.testing.assert_allclose(found, oracle(query, gallery, n, alpha), atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(sizes, st.integers(2, 5), st.integers(0, 40), alphas, st.integers(0, 99))
def test_augmentation_is_its_definition(number, width, n, alpha, seed):
    gallery = normal(number, width, seed)
    found = augment_database(gallery, n=n, alpha=alpha)
    expected = oracle(gallery, gallery, n, alpha, np.arange(number))
    np.testing.assert_allclose(found, expected, atol=1e-7)


# all of length 2, so cosines are exact, tie often and are copies often
signs = st.integers(1, 20).flatmap(
    lambda number: arrays(np.int64, (number, 4), elements=st.sampled_from([-1, 1]))
)


@settings(max_examples=80, deadline=None)
@given(signs, signs, st.integers(0, 25), st.sampled_from([0.0, 1.0, 3.0]), st.booleans())
def test_of_equally_near_images_the_first_are_taken(query, gallery, n, alpha, plain):
    kernel = (lambda: None) if plain else nearest._kernel
    with mock.patch.object(nearest, "_kernel", kernel):
        found = expand_queries(torch.tensor(query), torch.tensor(gallery), n=n, alpha=alpha)
    expected = oracle(query, gallery, n, alpha)
    # opposite vectors may cancel: then there is no direction to compare
    clear = np.linalg.norm(expected, axis=1) > 0.5
    np.testing.assert_allclose(found[clear], expected[clear], atol=1e-5)


@given(st.integers(0, 1), st.floats(0.0, 9.0))
@settings(max_examples=20, deadline=None)
def test_an_n_of_one_changes_nothing(n, alpha):
    vectors = normal(7, 3, 0).float()
    assert torch.equal(expand_queries(vectors, normal(9, 3, 1), n=n, alpha=alpha), unit(vectors))
    assert torch.equal(augment_database(vectors, n=n, alpha=alpha), unit(vectors))


def test_an_alpha_of_zero_is_the_plain_average():
    query, gallery = normal(5, 3, 2), normal(6, 3, 3)
    found = expand_queries(query, gallery, n=99, alpha=0.0)
    expected = unit(unit(query) + unit(gallery).sum(dim=0))
    torch.testing.assert_close(found, expected)


def test_a_large_alpha_trusts_copies_alone():
    gallery = torch.eye(4) + 0.1
    torch.testing.assert_close(augment_database(gallery, n=4, alpha=200.0), unit(gallery))


def test_lengths_do_not_matter_and_are_one():
    query, gallery = normal(20, 6, 4).float(), normal(30, 6, 5).float()
    factors = torch.linspace(0.1, 50.0, 30)[:, None]
    found = expand_queries(query, gallery, n=5)
    torch.testing.assert_close(found, expand_queries(3.0 * query, factors * gallery, n=5))
    torch.testing.assert_close(found.norm(dim=1), torch.ones(20))


def test_augmentation_moves_with_the_rows():
    gallery, order = normal(40, 6, 6), torch.arange(40).flip(0)
    torch.testing.assert_close(
        augment_database(gallery[order], n=5), augment_database(gallery, n=5)[order]
    )


def test_a_query_that_is_in_the_gallery_counts_once():
    gallery = normal(12, 4, 7)
    own = torch.arange(12)
    own[3] = -1
    found = expand_queries(gallery, gallery, n=3, own=own)
    torch.testing.assert_close(found[0], augment_database(gallery, n=3)[0])
    torch.testing.assert_close(found[3], expand_queries(gallery[3:4], gallery, n=3)[0])
    assert not torch.allclose(found[3], augment_database(gallery, n=3)[3])


def test_one_image_and_zero_vectors():
    one = torch.tensor([[3.0, 4.0]])
    torch.testing.assert_close(augment_database(one, n=5, alpha=0.0), one / 5)
    zeros = torch.zeros(3, 2)
    assert torch.equal(augment_database(zeros, n=3), zeros)
    assert torch.equal(expand_queries(zeros, one, n=3, alpha=2.0), zeros)
    torch.testing.assert_close(
        expand_queries(zeros[:1], one, n=2, alpha=0.0), torch.tensor([[0.6, 0.8]])
    )


def test_clusters_become_tighter():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 20
    centres = torch.randn(20, 16, generator=generator)
    points = unit(centres[labels] + torch.randn(200, 16, generator=generator))
    same = labels[:, None] == labels
    after = augment_database(points, n=5, alpha=1.0)
    assert (after @ after.T)[same].mean() > (points @ points.T)[same].mean()


@pytest.mark.parametrize("values", [{"n": -1}, {"alpha": -0.5}])
def test_values_that_mean_nothing(values):
    with pytest.raises(ValueError, match="at least 0"):
        augment_database(torch.eye(2), **values)


@pytest.mark.parametrize(
    ("query", "gallery", "message"),
    [
        (torch.eye(3), torch.eye(2), "got .3, 3. and .2, 2."),
        (torch.eye(3)[:0], torch.eye(3), "a query and a gallery image"),
        (torch.eye(3).log(), torch.eye(3), "query row 0 is not finite"),
    ],
)
def test_tables_that_do_not_fit(query, gallery, message):
    with pytest.raises(DataError, match=message):
        expand_queries(query, gallery)
