"""Conventions, random galleries, open sets, slices, comparisons, other libraries' definitions."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lookalike.errors import ConfigError, DataError
from lookalike.retrieval import evaluate_retrieval
from lookalike.retrieval.comparison import Difference, paired_difference, verdicts
from lookalike.retrieval.expansion import augment_database, expand_queries
from lookalike.retrieval.explain import paddleclas_readings, rank_for_explanation, readings
from lookalike.retrieval.metric_names import metric_by_name, threshold_metric
from lookalike.retrieval.metrics import MeanAveragePrecision, RecallAtK
from lookalike.retrieval.protocols import PROTOCOLS, protocol_by_name
from lookalike.retrieval.rules import Rules
from lookalike.retrieval.table_scores import score_tables, sliced
from lookalike.types import EmbeddingTable


def table(seed=0, number=60, labels=8, cameras=True, width=6):
    rng = np.random.default_rng(seed)
    own = rng.integers(0, labels, number)
    centres = np.random.default_rng(1).standard_normal((labels, width))
    vectors = centres[own] + 0.8 * rng.standard_normal((number, width))
    return EmbeddingTable(
        torch.from_numpy(vectors.astype(np.float32)),
        torch.from_numpy(own),
        [f"image{i}" for i in range(number)],
        torch.from_numpy(rng.integers(0, 3, number)) if cameras else None,
    )


def test_names_give_what_evaluate_retrieval_gives():
    query, gallery = table(1), table(2)
    found = score_tables(query, gallery, ["Recall@1", "mAP"], Rules(cameras=True))
    plain = evaluate_retrieval(query, gallery, [RecallAtK([1]), MeanAveragePrecision()])
    assert found.values == {"Recall@1": plain.values["recall1"], "mAP": plain.values["mAP"]}
    assert found.intervals["mAP"] == plain.intervals["mAP"]
    assert found.as_json()["mAP"]["value"] == plain.values["mAP"]


def test_own_images_and_junk_are_removed():
    both = table(3, cameras=False)
    found = score_tables(both, both, ["recall@1"], Rules(own_images=True))
    assert found.values["recall@1"] < 1.0
    assert score_tables(both, both, ["recall@1"], Rules()).values["recall@1"] == 1.0
    junk = EmbeddingTable(both.embeddings, torch.where(both.labels == 2, -1, both.labels), both.ids)
    found = score_tables(junk, junk, ["recall@1"], Rules(own_images=True, junk=(-1,)))
    assert found.num_gallery == int((junk.labels != -1).sum())


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_convention_scores(name):
    protocol = protocol_by_name(name)
    rules = Rules(
        cameras=protocol.excludes == "camera",
        own_images=protocol.excludes == "self",
        junk=protocol.junk,
        num_galleries=protocol.num_galleries,
    )
    found = score_tables(table(1), table(2), protocol.metrics, rules)
    assert list(found.values) == list(protocol.metrics)
    assert all(0.0 <= value <= 1.0 for value in found.values.values())


def test_random_galleries_are_one_image_per_label_ten_times():
    both = table(4, cameras=False)
    found = score_tables(both, both, ["recall@1", "mAP"], Rules(num_galleries=10))
    assert found.num_gallery == 8
    # with one relevant item the average precision is the reciprocal rank
    again = score_tables(both, both, ["mAP", "MRR"], Rules(num_galleries=10))
    assert again.values["mAP"] == pytest.approx(again.values["MRR"])
    assert found.values["mAP"] == again.values["mAP"]
    alone = both.rows(torch.tensor([int((both.labels == k).nonzero()[0, 0]) for k in range(8)]))
    with pytest.raises(DataError, match="no query is left"):
        score_tables(alone, alone, ["mAP"], Rules(num_galleries=10))


def test_unknown_queries_against_a_threshold():
    query = EmbeddingTable(torch.tensor([[1.0, 0], [0, 1], [-1, 0]]), torch.tensor([0, 1, 9]),
                           ["a", "b", "c"])  # fmt: skip
    gallery = EmbeddingTable(torch.tensor([[1.0, 0.1], [0.8, 0.6], [-1, 0.2]]),
                             torch.tensor([0, 1, 2]), ["d", "e", "f"])  # fmt: skip
    found = score_tables(query, gallery, ["FPIR@0.5", "FPIR@0.99", "TPIR@0.5", "TPIR@0.9"], Rules())
    assert found.values == {"FPIR@0.5": 1.0, "FPIR@0.99": 0.0, "TPIR@0.5": 1.0, "TPIR@0.9": 0.5}
    with pytest.raises(DataError, match="needs queries whose label the gallery does not have"):
        score_tables(gallery, gallery, ["FPIR@0.5"], Rules())


def test_slices_are_means_of_their_queries():
    query = table(5)
    scores = score_tables(query, table(6), ["recall@1"], Rules())
    by_camera = sliced(scores, query.cameras)
    own = query.cameras == 1
    assert by_camera[1]["recall@1"] == float(scores.per_query["recall@1"][own].nanmean())


def test_wrong_names_are_told():
    with pytest.raises(ConfigError, match="Did you mean 'recall@K'"):
        metric_by_name("recal@1")
    with pytest.raises(ConfigError, match="a rate is 0 to 1"):
        threshold_metric("TPR@FPR=2")
    with pytest.raises(ConfigError, match="Did you mean 'market1501'"):
        protocol_by_name("market")
    with pytest.raises(DataError, match="has no cameras"):
        score_tables(table(cameras=False), table(cameras=False), ["mAP"], Rules(cameras=True))


def test_a_winner_is_named_outside_the_noise_only():
    labels = torch.arange(200) // 4
    generator = torch.Generator().manual_seed(0)
    base = (torch.rand(200, generator=generator) < 0.5).double()
    better = torch.where(torch.rand(200, generator=generator) < 0.3, 1.0, base)
    noise = (torch.rand(200, generator=generator) < 0.5).double()
    found = {
        "x": paired_difference(base, better, labels),
        "y": paired_difference(base, noise, labels),
    }
    assert found["x"].interval[0] > 0
    assert found["y"].interval[0] < 0 < found["y"].interval[1]
    assert verdicts(found) == {"x": "B is better", "y": "no difference outside the noise"}
    assert paired_difference(base, base, labels).p_value == 1.0
    with pytest.raises(DataError, match="nothing can be compared"):
        paired_difference(base * torch.nan, base, labels)


def test_p_values_are_right_under_the_null():
    """Of equal models one in twenty is called different, identities being the units."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(120) // 6
    called = 0
    for seed in range(200):
        moved = torch.randn(20, generator=generator).repeat_interleave(6).double()
        one = paired_difference(torch.zeros(120), moved, labels, resamples=400, seed=seed)
        called += one.p_value <= 0.05
    assert 2 <= called <= 22  # 10 expected; four standard errors


def test_several_metrics_share_the_risk():
    def one(p):
        return Difference(0.1, 0.2, (0.0, 0.2), p, 10, 10)

    told = verdicts({"a": one(0.04), "b": one(0.03), "c": one(0.2)})
    assert set(told.values()) == {"no difference outside the noise"}
    assert verdicts({"a": one(0.04)})["a"] == "B is better"


def test_the_definitions_of_others():
    query, gallery = table(7, number=30), table(8)
    query.labels[:4] = 99  # no relevant item
    ranks, positive = rank_for_explanation(query, gallery, Rules(cameras=True))
    values = {
        (one.metric, one.system.split(",")[0]): one.value for one in readings(ranks, positive)
    }
    assert values["recall@1", "open-metric-learning"] == pytest.approx(
        values["recall@1", "Lookalike"] * 26 / 30
    )
    assert values["mAP@5", "pytorch-metric-learning"] < values["mAP@5", "Lookalike"]
    similarity = (
        torch.nn.functional.normalize(query.embeddings)
        @ torch.nn.functional.normalize(gallery.embeddings).T
    )
    relevant = query.labels[:, None] == gallery.labels
    relevant &= query.cameras[:, None] != gallery.cameras
    assert positive.tolist() == (relevant & (similarity > 0)).sum(dim=1).tolist()
    theirs = {(one.metric, one.system): one.value for one in _theirs(query, gallery)}
    wanted = evaluate_retrieval(
        query, gallery, [MeanAveragePrecision()], protocol="reference", block_size=8
    )
    assert theirs["mAP", "PaddleClas, blocks of 8"] == pytest.approx(wanted.values["mAP"])


def _theirs(query, gallery):
    return paddleclas_readings(query, gallery, Rules(cameras=True))


def test_rules_average_and_re_rank_as_the_functions_do():
    query, gallery = table(3, number=30), table(4)
    metrics = [MeanAveragePrecision()]
    wanted = evaluate_retrieval(query, gallery, metrics, re_ranking=True).values["mAP"]
    found = score_tables(query, gallery, ["mAP"], Rules(cameras=True, re_rank=True))
    assert found.values["mAP"] == wanted
    items = augment_database(gallery.embeddings, n=3)
    moved = replace(query, embeddings=expand_queries(query.embeddings, items, n=4))
    wanted = evaluate_retrieval(moved, replace(gallery, embeddings=items), metrics).values["mAP"]
    found = score_tables(query, gallery, ["mAP"], Rules(cameras=True, augment=3, expand=4))
    assert found.values["mAP"] == pytest.approx(wanted, abs=1e-12)


def test_a_query_in_the_gallery_is_not_its_own_neighbour():
    both = table(5)
    own = torch.arange(len(both))
    moved = expand_queries(both.embeddings, both.embeddings, n=4, own=own)
    wanted = evaluate_retrieval(
        replace(both, embeddings=moved), both, [RecallAtK([1])], same_images=True
    )
    found = score_tables(both, both, ["recall@1"], Rules(cameras=True, own_images=True, expand=4))
    assert found.values["recall@1"] == wanted.values["recall1"]


def test_junk_is_left_out_of_an_explanation_too():
    query, gallery = table(7, number=30), table(8)
    gallery.labels[:20] = -1
    kept = gallery.rows((gallery.labels >= 0).nonzero()[:, 0])
    found, _ = rank_for_explanation(query, gallery, Rules(cameras=True, junk=(-1,)))
    wanted, _ = rank_for_explanation(query, kept, Rules(cameras=True))
    assert torch.equal(found.ranks, wanted.ranks)
    with pytest.raises(ConfigError, match="one gallery"):
        rank_for_explanation(query, gallery, Rules(num_galleries=10))
