"""Metrics of several classes per image, against their definitions."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, hamming_loss

from lookalike import build


@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 999))
def test_they_are_what_the_field_means(images, classes, seed):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(images, classes)), rng.integers(0, 2, (images, classes))
    given_, expected = torch.tensor(logits), torch.tensor(labels)
    present = (1 / (1 + np.exp(-logits)) > 0.5).astype(int)
    found = build("metric", {"HammingDistance": {}})(given_, expected)["HammingDistance"]
    assert float(found) == pytest.approx(hamming_loss(labels, present))
    of_images = build("metric", {"AccuracyScore": {"base": "sample"}})(given_, expected)
    assert float(of_images["AccuracyScore"]) == pytest.approx(accuracy_score(labels, present))
    of_labels = build("metric", {"AccuracyScore": {}})({"logits": given_}, expected)
    assert float(of_labels["AccuracyScore"]) == pytest.approx((labels == present).mean())


def test_the_accuracy_of_one_of_several_models():
    logits = torch.tensor([[0.1, 0.9, 0.0], [0.8, 0.1, 0.2]])
    output = {"Teacher": {"logits": -logits}, "Student": {"logits": logits}}
    spec = {"DistillationTopkAcc": {"model_key": "Student", "topk": [1, 2]}}
    found = build("metric", spec)(output, torch.tensor([1, 2]))
    assert {key: float(value) for key, value in found.items()} == {"top1": 0.5, "top2": 1.0}
    with pytest.raises(ValueError, match="reads 'neck'; there is logits"):
        build("metric", {"DistillationTopkAcc": {"model_key": "Student", "feature_key": "neck"}})(
            output, torch.tensor([1, 2])
        )


def test_one_class_per_image_is_told_where_to_go():
    with pytest.raises(ValueError, match="use TopkAcc"):
        build("metric", {"HammingDistance": {}})(torch.zeros(2, 3), torch.zeros(2))
