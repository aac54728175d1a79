"""The best item of each query, whose ties go against the query."""

import pytest
import torch

from lookalike.errors import DataError
from lookalike.retrieval.open_set import best_matches
from lookalike.retrieval.rows import Table
from lookalike.retrieval.rules import Rules
from lookalike.retrieval.table_scores import score_tables
from lookalike.types import EmbeddingTable

# similarities to the query (1, 0) are the first numbers
ITEMS = torch.tensor([[0.5, 1.0], [0.5, 2.0], [0.25, 0.0], [-0.5, 0.0]])


def best(labels, query_label=0, **facts):
    query, gallery = Table(torch.tensor([[1.0, 0.0]]), "query"), Table(ITEMS, "gallery")
    return best_matches(query, gallery, torch.tensor([query_label]), torch.tensor(labels), **facts)


@pytest.mark.parametrize(
    ("labels", "similarity", "right"),
    [
        ([0, 1, 2, 3], 0.5, False),  # own and another are exactly as similar
        ([0, 0, 1, 2], 0.5, True),
        ([1, 2, 0, 0], 0.5, False),
        ([9, 8, 7, 6], 0.5, False),
        ([0, 0, 0, 0], 0.5, True),
    ],
)
def test_the_best_item_and_whether_it_is_right(labels, similarity, right):
    found = best(labels)
    assert found.similarity.tolist() == [similarity]
    assert found.right.tolist() == [right]


def test_excluded_items_are_nobodys_best():
    cameras = {"query_cameras": torch.tensor([4]), "gallery_cameras": torch.tensor([4, 5, 5, 5])}
    found = best([0, 1, 0, 2], **cameras)
    assert (found.similarity.item(), found.right.item()) == (0.5, False)
    ids = {"query_ids": torch.tensor([1]), "gallery_ids": torch.tensor([0, 1, 2, 3])}
    found = best([0, 0, 1, 2], **ids)
    assert (found.similarity.item(), found.right.item()) == (0.5, True)
    found = best([0, 0, 0, 0], query_cameras=torch.tensor([4]),
                 gallery_cameras=torch.full((4,), 4))  # fmt: skip
    assert found.similarity.item() == -torch.inf


def test_a_tie_at_the_top_is_not_identified():
    """TPIR counts known queries whose best item is theirs alone, and reaches the threshold."""
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    query = EmbeddingTable(vectors, torch.tensor([0, 1, 9]), ["a", "b", "c"])
    gallery = EmbeddingTable(
        torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]),
        torch.tensor([0, 5, 1, 7]),
        ["d", "e", "f", "g"],
    )
    names = ["TPIR@0.5", "TPIR@1", "FPIR@1", "FPIR@1.01"]
    found = score_tables(query, gallery, names, Rules())
    assert found.values == {"TPIR@0.5": 0.5, "TPIR@1": 0.5, "FPIR@1": 1.0, "FPIR@1.01": 0.0}
    assert found.per_query["TPIR@0.5"].tolist()[:2] == [0.0, 1.0]
    assert found.per_query["FPIR@1"].isnan().tolist() == [True, True, False]
    with pytest.raises(DataError, match="needs queries whose label the gallery does not have"):
        score_tables(query.rows(torch.tensor([0, 1])), gallery, ["FPIR@0.5"], Rules())


def test_many_items_are_searched_tile_by_tile():
    generator = torch.Generator().manual_seed(0)
    query, gallery = (torch.randn(n, 4, generator=generator) for n in (40, 700))
    labels = torch.arange(40) % 5, torch.arange(700) % 7
    found = best_matches(Table(query, "query"), Table(gallery, "gallery"), *labels)
    products = query.double() @ gallery.double().T
    value, place = products.max(dim=1)
    torch.testing.assert_close(found.similarity.double(), value, rtol=1e-5, atol=1e-5)
    assert torch.equal(found.right, labels[1][place] == labels[0])
