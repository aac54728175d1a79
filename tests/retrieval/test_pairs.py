"""Pairs against thresholds, held against all pairs in a list and scikit-learn."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from lookalike.errors import DataError
from lookalike.retrieval.pairs import count_pairs


def problem(seed, levels=3):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 8, size=2)
    tables = [rng.integers(0, levels, (n, 3)).astype(np.float32) for n in sizes]
    labels = [rng.integers(0, 3, n) for n in sizes]
    cameras = [rng.integers(0, 2, n) for n in sizes]
    return tables, labels, cameras


def all_pairs(tables, labels, cameras):
    similarity = tables[0] @ tables[1].T
    same = labels[0][:, None] == labels[1]
    excluded = same & (cameras[0][:, None] == cameras[1])
    return similarity[same & ~excluded], similarity[~same]


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 10**6), fpr=st.floats(0.0, 1.0))
def test_counts_are_those_of_all_pairs(seed, fpr):
    tables, labels, cameras = problem(seed)
    genuine, impostors = all_pairs(tables, labels, cameras)
    arguments = [torch.from_numpy(x) for x in (*tables, *labels)]
    extra = {"query_cameras": torch.from_numpy(cameras[0]),
             "gallery_cameras": torch.from_numpy(cameras[1])}  # fmt: skip
    if len(genuine) == 0 or len(impostors) == 0:
        with pytest.raises(DataError, match="both are needed"):
            count_pairs(*arguments, **extra)
        return
    found = count_pairs(*arguments, **extra)
    assert (found.num_genuine, found.num_impostors) == (len(genuine), len(impostors))
    truth = np.r_[np.ones(len(genuine)), np.zeros(len(impostors))]
    assert found.auc() == pytest.approx(roc_auc_score(truth, np.r_[genuine, impostors]))
    allowed = [t for t in [*genuine, np.inf] if (impostors >= t).mean() <= fpr]
    best = max((genuine >= t).mean() for t in allowed)
    rate, threshold = found.tpr_at_fpr(fpr)
    assert rate == pytest.approx(best)
    assert (impostors >= threshold).mean() <= fpr
    for threshold, false, true in found.roc(5):
        assert false == pytest.approx((impostors >= threshold).mean())
        assert true == pytest.approx((genuine >= threshold).mean())


def test_several_blocks_and_tiles(monkeypatch):
    from lookalike.retrieval import products

    monkeypatch.setattr(products, "BLOCK", 16)
    monkeypatch.setattr(products, "TILE", 16)
    generator = torch.Generator().manual_seed(0)
    query, gallery = (torch.randn(n, 5, generator=generator) for n in (50, 90))
    labels = [torch.randint(6, (n,), generator=generator) for n in (50, 90)]
    found = count_pairs(query, gallery, *labels)
    same = (labels[0][:, None] == labels[1]).numpy()
    similarity = (query @ gallery.T).numpy()
    assert found.num_genuine == same.sum()
    assert found.auc() == pytest.approx(roc_auc_score(same.ravel(), similarity.ravel()), abs=1e-4)
    with pytest.raises(ValueError, match="0 to 1"):
        found.tpr_at_fpr(2.0)
