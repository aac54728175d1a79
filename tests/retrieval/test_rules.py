"""The tables as they are compared: rows left out, averages, codes, exclusions."""

import pytest
import torch

from lookalike.errors import DataError
from lookalike.geometry import unit
from lookalike.retrieval.rules import Rules, comparable, image_numbers_of
from lookalike.retrieval.table_scores import score_tables
from lookalike.types import EmbeddingTable


def table(number=12, seed=0, labels=4, cameras=True):
    generator = torch.Generator().manual_seed(seed)
    return EmbeddingTable(
        torch.randn(number, 5, generator=generator),
        torch.arange(number) % labels,
        [f"{seed}-{row}" for row in range(number)],
        torch.arange(number) % 3 if cameras else None,
    )


def expanded(vectors, items, n, own):
    """Average each vector with its n - 1 nearest items but its own, by cosine ** 3."""
    found = []
    for row, vector in enumerate(vectors):
        cosines = items @ vector
        order = [i for i in cosines.argsort(descending=True).tolist() if i != own[row]]
        total = vector + sum(cosines[i].clamp_min(0) ** 3 * items[i] for i in order[: n - 1])
        found.append(total / total.norm())
    return torch.stack(found)


def prepared(rules, query, gallery):
    tables, _ = rules.prepared(query, gallery)
    return [one.all() for one in tables]


@pytest.mark.parametrize("expand", [2, 4])
def test_the_own_image_is_in_the_average_of_a_query_once(expand):
    both = table(cameras=False)
    vectors = unit(both.embeddings)
    left, right = prepared(Rules(own_images=True, expand=expand), both, both)
    torch.testing.assert_close(left, expanded(vectors, vectors, expand, range(12)))
    torch.testing.assert_close(right, vectors)
    # without the exclusion the own image is the nearest item
    left, _ = prepared(Rules(expand=expand), both, both)
    torch.testing.assert_close(left, expanded(vectors, vectors, expand, [-1] * 12))


def test_a_query_whose_image_the_gallery_lacks_is_expanded_with_all_items():
    both = table(cameras=False)
    gallery = both.rows(torch.tensor([0, 2, 4, 6, 8, 10]))
    left, _ = prepared(Rules(own_images=True, expand=3), both, gallery)
    own = [row // 2 if row % 2 == 0 else -1 for row in range(12)]
    expected = expanded(unit(both.embeddings), unit(gallery.embeddings), 3, own)
    torch.testing.assert_close(left, expected)


def test_the_gallery_is_augmented_first_and_its_average_expands_the_queries():
    query, gallery = table(seed=1, cameras=False), table(seed=2, cameras=False)
    left, right = prepared(Rules(augment=3, expand=2), query, gallery)
    items = expanded(unit(gallery.embeddings), unit(gallery.embeddings), 3, range(12))
    torch.testing.assert_close(right, items)
    torch.testing.assert_close(left, expanded(unit(query.embeddings), items, 2, [-1] * 12))
    left, right = prepared(Rules(augment=1, expand=1), query, gallery)
    torch.testing.assert_close(left, unit(query.embeddings))
    torch.testing.assert_close(right, unit(gallery.embeddings))


def test_junk_is_taken_from_both_tables():
    query, gallery = table(seed=1), table(seed=2)
    left, right = Rules(junk=(1, 3)).selected(query, gallery)
    for kept, whole in ((left, query), (right, gallery)):
        rows = [0, 2, 4, 6, 8, 10]
        assert kept.labels.tolist() == [0, 2, 0, 2, 0, 2]
        assert kept.ids == [whole.ids[row] for row in rows]
        assert torch.equal(kept.embeddings, whole.embeddings[rows])
        assert kept.cameras.tolist() == [row % 3 for row in rows]
    assert Rules().selected(query, gallery) == (query, gallery)


def test_a_junk_query_counts_for_nothing():
    """Of two queries the junk one would be found, the other one not."""
    query = EmbeddingTable(torch.eye(2), torch.tensor([-1, 0]), ["a", "b"])
    gallery = EmbeddingTable(
        torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 1.0]]),
        torch.tensor([-1, 5, 0]),
        ["c", "d", "e"],
    )
    found = score_tables(query, gallery, ["recall@1", "mAP"], Rules(junk=(-1,)))
    assert found.values == {"recall@1": 0.0, "mAP": 0.5}
    assert (found.num_queries, found.num_gallery) == (1, 2)


def test_what_excludes_pairs():
    query, gallery = table(seed=1), table(seed=2)
    _, facts = Rules().prepared(query, gallery)
    assert facts == {}
    _, facts = Rules(cameras=True).prepared(query, gallery)
    assert set(facts) == {"query_cameras", "gallery_cameras"}
    _, facts = Rules(own_images=True).prepared(query, query)
    assert facts["query_ids"].tolist() == facts["gallery_ids"].tolist() == list(range(12))
    for pair in ((query, table(cameras=False)), (table(cameras=False), gallery)):
        with pytest.raises(DataError, match="has no cameras"):
            Rules(cameras=True).prepared(*pair)


def test_ids_get_one_number_in_both_tables():
    def of(ids):
        return EmbeddingTable(torch.eye(len(ids)), torch.zeros(len(ids), dtype=torch.int64), ids)

    query, gallery = image_numbers_of(of(["x", "b", "./a"]), of(["a", "b", "c", "b"]))
    found = {name: int(n) for name, n in zip("abcb", gallery, strict=True)}
    assert [int(n) for n in query[1:]] == [found["b"], found["a"]]
    assert len({int(query[0]), *found.values()}) == 4


@pytest.mark.parametrize(
    ("normalize", "binarize", "expected"),
    [
        (False, None, [[0.3, -0.4, 0.0]]),
        (True, None, [[0.6, -0.8, 0.0]]),
        (False, "round", [[-1.0, -1.0, -1.0]]),
        (True, "round", [[1.0, -3.0, -1.0]]),
        (False, "sign", [[1.0, -1.0, 0.0]]),
    ],
)
def test_the_form_in_which_embeddings_are_compared(normalize, binarize, expected):
    found = comparable(torch.tensor([[0.3, -0.4, 0.0]]), normalize, binarize)
    torch.testing.assert_close(found, torch.tensor(expected))


def test_rules_reach_the_rows_that_are_ranked():
    query, gallery = table(seed=1), table(seed=2)
    tables, _ = Rules(normalize=False, binarize="sign").prepared(query, gallery)
    rows = torch.tensor([3, 5])
    for one, whole in zip(tables, (query, gallery), strict=True):
        assert torch.equal(one.take(rows), whole.embeddings[rows].sign())
    assert Rules().similarity(tables) is None
    assert Rules(re_rank=True).similarity(tables) is not None
