"""Three rules for ties, against every order that the tied items could have."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.retrieval import (
    MeanAveragePrecision,
    MeanInverseNegativePenalty,
    PrecisionAtK,
    RecallAtK,
    ranks_from_similarity,
)
from lookalike.retrieval.metrics import CMC, MeanReciprocalRank


def by_hand(relevant):
    """Every metric of one ranking, given as relevance best first, from its definition."""
    relevant = np.asarray(relevant)
    at = np.flatnonzero(relevant) + 1
    m = len(at)
    precision = np.arange(1, m + 1) / at
    return {
        **{f"recall{k}": float(at[0] <= k) for k in (1, 2, 9)},
        "cmc1": float(at[0] <= 1),
        "cmc2": float(at[0] <= 2),
        "mAP": precision.sum() / m,
        "mAP@2": precision[at <= 2].sum() / min(m, 2),
        "mAP@R": precision[at <= m].sum() / m,
        "mINP": m / at[-1],
        "precision@2": (at <= 2).sum() / 2,
        "precision@9": (at <= 9).sum() / 9,
        "r_precision": (at <= m).sum() / m,
        "MRR": 1 / at[0],
    }


def metrics(ties):
    return [
        RecallAtK([1, 2, 9], ties),
        CMC(2, ties),
        MeanAveragePrecision(None, ties),
        MeanAveragePrecision(2, ties),
        MeanAveragePrecision("R", ties),
        MeanInverseNegativePenalty(ties),
        PrecisionAtK([2, 9], ties),
        PrecisionAtK("R", ties),
        MeanReciprocalRank(ties),
    ]


def found(similarity, relevant, ties):
    ranks = ranks_from_similarity(
        torch.tensor([similarity], dtype=torch.float32),
        torch.tensor([1]),
        torch.tensor(relevant, dtype=torch.int64),
    )
    values = {}
    for metric in metrics(ties):
        values |= {name: float(value[0]) for name, value in metric.per_query(ranks).items()}
    return values


problems = st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=6).filter(
    lambda items: any(relevant for _, relevant in items)
)


@settings(max_examples=80, deadline=None)
@given(items=problems)
def test_each_rule_is_its_definition(items):
    similarity = [s for s, _ in items]
    relevant = np.array([r for _, r in items])
    orders = []
    for order in itertools.permutations(range(len(items))):
        shuffled = np.array(order)
        ranking = shuffled[np.argsort(-np.array(similarity)[shuffled], kind="stable")]
        orders.append(by_hand(relevant[ranking]))
    worst = found(similarity, relevant, "pessimistic")
    best = found(similarity, relevant, "optimistic")
    mean = found(similarity, relevant, "expected")
    for name in orders[0]:
        values = [order[name] for order in orders]
        assert worst[name] == pytest.approx(min(values)), name
        assert best[name] == pytest.approx(max(values)), name
        assert mean[name] == pytest.approx(np.mean(values)), name


def test_one_point_for_all_images():
    """A model that maps every image to one point is as good as chance, or as bad as can be."""
    relevant = [1, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert found([0.5] * 10, relevant, "pessimistic")["recall1"] == 0.0
    assert found([0.5] * 10, relevant, "optimistic")["recall1"] == 1.0
    assert found([0.5] * 10, relevant, "expected")["recall1"] == pytest.approx(0.2)


def test_many_ties_do_not_overflow():
    relevant = torch.zeros(20_000, dtype=torch.int64)
    relevant[:700] = 1
    ranks = ranks_from_similarity(torch.zeros(1, 20_000), torch.tensor([1]), relevant)
    for metric in metrics("expected"):
        for name, value in metric.per_query(ranks).items():
            assert 0.0 < float(value[0]) < 1.0, name


@pytest.mark.parametrize("k", [0, -1, "r", []])
def test_a_cut_off_that_means_nothing(k):
    for metric in (MeanAveragePrecision, PrecisionAtK):
        with pytest.raises((ValueError, IndexError)):
            metric(k)
