"""Ranks and metrics against a brute-force sort, recorded numbers and scikit-learn."""

import numpy as np
import pytest
import torch
from golden_cases import arrays, cases, yaml_args
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from lookalike import build
from lookalike.errors import DataError
from lookalike.retrieval import (
    MeanAveragePrecision,
    MeanInverseNegativePenalty,
    PrecisionAtK,
    RecallAtK,
    counting,
    evaluate_retrieval,
    nearest_neighbours,
    rank_relevant,
    ranks_from_similarity,
)
from lookalike.retrieval.intervals import clustered_interval
from lookalike.types import EmbeddingTable


def brute_force_ranks(similarity, relevant, keep):
    """Ranks of the relevant items of one query, ties settled against them."""
    ranks = []
    for item in np.flatnonzero(relevant & keep):
        beaten_by = (similarity >= similarity[item]) & keep & ~relevant
        better = (similarity > similarity[item]) & keep & relevant
        ranks.append((beaten_by.sum(), better.sum(), item))
    # among equal relevant items the order does not matter: number them
    ordered = sorted(ranks, key=lambda entry: (entry[0] + entry[1], entry[2]))
    return [int(entry[0]) + place + 1 for place, entry in enumerate(ordered)]


problems = st.fixed_dictionaries(
    {
        "queries": st.integers(1, 9),
        "gallery": st.integers(1, 20),
        "labels": st.integers(1, 5),
        "cameras": st.integers(1, 3),
        "levels": st.sampled_from([1, 2, 5, 1000]),  # few levels make many ties
        "with_cameras": st.booleans(),
        "with_ids": st.booleans(),
        "seed": st.integers(0, 2**31),
    }
)


def make(problem):
    rng = np.random.default_rng(problem["seed"])
    size = 3
    query = rng.integers(0, problem["levels"], (problem["queries"], size)).astype(np.float32)
    gallery = rng.integers(0, problem["levels"], (problem["gallery"], size)).astype(np.float32)
    numbers = {
        "query_labels": rng.integers(problem["labels"], size=problem["queries"]),
        "gallery_labels": rng.integers(problem["labels"], size=problem["gallery"]),
        "query_cameras": rng.integers(problem["cameras"], size=problem["queries"]),
        "gallery_cameras": rng.integers(problem["cameras"], size=problem["gallery"]),
        "query_ids": rng.permutation(30)[: problem["queries"]],
        "gallery_ids": rng.permutation(30)[: problem["gallery"]],
    }
    return query, gallery, numbers


@settings(max_examples=300, deadline=None)
@given(problem=problems, block=st.sampled_from([1, 7, 50, 10_000]), compiled=st.booleans())
def test_ranks_are_those_of_a_brute_force_sort(problem, block, compiled):
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr(counting, "_kernel", lambda: None)
        ranks_against_a_sort(problem, block)


def ranks_against_a_sort(problem, block):
    query, gallery, numbers = make(problem)
    tensors = {name: torch.from_numpy(value) for name, value in numbers.items()}
    used = {key: tensors[key] for key in ("query_labels", "gallery_labels")}
    keep = np.ones((len(query), len(gallery)), dtype=bool)
    relevant = numbers["query_labels"][:, None] == numbers["gallery_labels"]
    if problem["with_cameras"]:
        used |= {key: tensors[key] for key in ("query_cameras", "gallery_cameras")}
        keep &= ~(relevant & (numbers["query_cameras"][:, None] == numbers["gallery_cameras"]))
    if problem["with_ids"]:
        used |= {key: tensors[key] for key in ("query_ids", "gallery_ids")}
        keep &= numbers["query_ids"][:, None] != numbers["gallery_ids"]
    found = rank_relevant(torch.from_numpy(query), torch.from_numpy(gallery), memory=block, **used)
    similarity = query @ gallery.T
    expected = [brute_force_ranks(similarity[q], relevant[q], keep[q]) for q in range(len(query))]
    assert found.counts.tolist() == [len(ranks) for ranks in expected]
    assert found.ranks.tolist() == [rank for ranks in expected for rank in ranks]
    assert found.num_candidates.tolist() == keep.sum(axis=1).tolist()
    from_matrix = ranks_from_similarity(
        torch.from_numpy(similarity), used["query_labels"], used["gallery_labels"],
        torch.from_numpy(keep),
    )  # fmt: skip
    assert from_matrix.ranks.tolist() == found.ranks.tolist()
    assert from_matrix.num_candidates.tolist() == found.num_candidates.tolist()


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**31), order_seed=st.integers(0, 2**31))
def test_metrics_do_not_depend_on_the_order_of_the_gallery(seed, order_seed):
    rng = np.random.default_rng(seed)
    query, gallery = rng.standard_normal((6, 4)), rng.standard_normal((15, 4))
    labels, gallery_labels = rng.integers(3, size=6), rng.integers(3, size=15)
    order = np.random.default_rng(order_seed).permutation(15)
    results = []
    for rows in (np.arange(15), order):
        ranks = rank_relevant(
            torch.from_numpy(query), torch.from_numpy(gallery[rows]),
            torch.from_numpy(labels), torch.from_numpy(gallery_labels[rows]),
        )  # fmt: skip
        results.append(MeanAveragePrecision().per_query(ranks)["mAP"])
    torch.testing.assert_close(results[0], results[1], equal_nan=True)


def test_average_precision_is_scikit_learns():
    rng = np.random.default_rng(0)
    similarity = rng.standard_normal((20, 50))
    labels, gallery_labels = rng.integers(4, size=20), rng.integers(4, size=50)
    ranks = ranks_from_similarity(
        torch.from_numpy(similarity), torch.from_numpy(labels), torch.from_numpy(gallery_labels)
    )
    expected = [
        average_precision_score(gallery_labels == labels[q], similarity[q]) for q in range(20)
    ]
    np.testing.assert_allclose(MeanAveragePrecision().per_query(ranks)["mAP"], expected)


METRICS = ("Recallk", "mAP", "mINP", "Precisionk")


@pytest.mark.parametrize("case", cases("metric", components=METRICS))
def test_metric_matches_reference(case):
    data = arrays(case)
    metric = build("metric", {case["component"]: yaml_args(case)})
    keep = torch.from_numpy(data["in.keep_mask"]) if "in.keep_mask" in data else None
    values = metric(
        torch.from_numpy(data["in.sim"]),
        torch.from_numpy(data["in.query_label"]),
        torch.from_numpy(data["in.gallery_label"]),
        keep,
    )
    assert set(values) == set(case["values"])
    for name, expected in case["values"].items():
        assert values[name] == pytest.approx(expected, **_approx(case)), name


@pytest.mark.parametrize("case", cases("metric", components=("TopkAcc",)))
def test_accuracy_matches_reference(case):
    data = arrays(case)
    metric = build("metric", {"TopkAcc": yaml_args(case)})
    logits = next(data[name] for name in data if name.startswith("in.") and name != "in.label")
    values = metric({"logits": torch.from_numpy(logits)}, torch.from_numpy(data["in.label"]))
    single = {k: v for k, v in case["values"].items() if k != "avg_after_two_batches"}
    for name, expected in single.items():
        assert values[name].item() == pytest.approx(expected, **_approx(case)), name


def _approx(case):
    tolerance = case["tolerance"]["values"]
    return {"rel": tolerance["rtol"], "abs": tolerance["atol"]}


def test_a_perfect_ranking_scores_one_everywhere():
    embeddings = torch.eye(3).repeat_interleave(2, dim=0)
    labels = torch.arange(3).repeat_interleave(2)
    ranks = rank_relevant(embeddings, embeddings, labels, labels)
    for metric in (RecallAtK([1]), MeanAveragePrecision(), MeanInverseNegativePenalty()):
        for values in metric.per_query(ranks).values():
            assert values.tolist() == [1.0] * 6
    assert PrecisionAtK([2]).per_query(ranks)["precision@2"].tolist() == [1.0] * 6


def test_a_collapsed_model_scores_as_badly_as_it_is():
    """All embeddings alike: every irrelevant item stands before the relevant ones."""
    ones = torch.ones(10, 4)
    labels = torch.arange(5).repeat_interleave(2)
    ranks = rank_relevant(ones, ones, labels, labels)
    assert RecallAtK([1]).per_query(ranks)["recall1"].tolist() == [0.0] * 10


def test_queries_without_a_match_are_left_out_and_counted():
    table = EmbeddingTable(torch.eye(3), torch.tensor([0, 0, 7]), ["a", "b", "c"])
    result = evaluate_retrieval(table, table, [RecallAtK([1])], same_images=True)
    assert (result.num_queries, result.num_answerable) == (3, 2)


def test_the_same_image_is_removed_by_id_and_stays_without():
    table = EmbeddingTable(torch.eye(4), torch.tensor([0, 0, 1, 1]), list("abcd"))
    kept = evaluate_retrieval(table, table, [RecallAtK([1])])
    removed = evaluate_retrieval(table, table, [RecallAtK([1])], same_images=True)
    assert kept.values["recall1"] == 1.0
    assert removed.values["recall1"] == 0.0
    assert "own image is removed" in removed.protocol


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_an_embedding_that_is_not_finite_is_an_error_that_names_it(bad):
    broken = torch.eye(3)
    broken[1, 2] = bad
    labels = torch.tensor([0, 0, 1])
    with pytest.raises(DataError, match="query row 1 is not finite"):
        rank_relevant(broken, torch.eye(3), labels, labels)


def test_nothing_to_find_is_an_error():
    with pytest.raises(DataError, match="none of the 2 queries"):
        RecallAtK()(torch.zeros(2, 3), torch.tensor([0, 1]), torch.tensor([5, 6, 7]))


def test_tables_that_do_not_fit_are_refused():
    one = EmbeddingTable(torch.eye(2), torch.tensor([0, 0]), ["a", "b"], torch.tensor([0, 1]))
    other = EmbeddingTable(torch.eye(3), torch.tensor([0, 0, 1]), list("abc"))
    with pytest.raises(DataError, match="2 numbers, gallery embeddings 3"):
        evaluate_retrieval(one, other, [RecallAtK()])
    no_camera = EmbeddingTable(torch.eye(2), torch.tensor([0, 0]), ["a", "b"])
    with pytest.raises(DataError, match="camera column"):
        evaluate_retrieval(one, no_camera, [RecallAtK()])


def test_interval_covers_the_truth_and_respects_clusters():
    rng = np.random.default_rng(0)
    inside = 0
    for trial in range(200):
        rate = rng.beta(2, 2, size=40)  # each identity has its own chance
        labels = np.repeat(np.arange(40), 10)
        hits = (rng.random(400) < rate[labels]).astype(float)
        low, high = clustered_interval(
            torch.from_numpy(hits), torch.from_numpy(labels), resamples=200, seed=trial
        )
        inside += low <= 0.5 <= high
    assert 178 <= inside <= 200  # 95 % nominal, binomial spread and percentile bias


def test_neighbours_exclude_the_query_itself():
    similarity, rows = nearest_neighbours(
        torch.eye(3), torch.eye(3), 5, exclude=torch.tensor([0, 1, -1])
    )
    assert rows.shape == (3, 3)
    assert rows[0, 0] != 0
    assert rows[2, 0] == 2
    assert (similarity[:, :-1] >= similarity[:, 1:]).all()


def test_table_round_trip(tmp_path):
    table = EmbeddingTable(torch.randn(3, 2), torch.tensor([1, 2, 3]), ["a", "b", "ü"], None, "x")
    table.save(tmp_path / "t.npz")
    again = EmbeddingTable.load(tmp_path / "t.npz")
    assert torch.equal(again.embeddings, table.embeddings)
    assert (again.ids, again.fingerprint, again.cameras) == (table.ids, "x", None)
