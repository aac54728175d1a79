import pytest
import torch
from torch import nn

from lookalike.errors import CheckpointError
from lookalike.models import EmbeddingModel
from lookalike.models.fit_to_data import class_means, lda
from lookalike.models.loading import load_state
from lookalike.models.weights import read_weights


def test_frozen_statistics_stay_through_training():
    backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten())
    model = EmbeddingModel(backbone, nn.BatchNorm1d(16))
    model.freeze_statistics = True
    model.train()
    before = backbone[1].running_mean.clone()
    model(torch.randn(8, 3, 2, 2))
    assert torch.equal(backbone[1].running_mean, before)
    assert model.neck.running_mean.abs().sum() > 0
    assert backbone[1].weight.requires_grad


def test_head_can_read_the_backbone():
    model = EmbeddingModel(
        nn.Flatten(), nn.Linear(12, 4), nn.Linear(12, 3), head_feature_from="backbone"
    )
    model.head.forward = lambda x, labels=None: nn.functional.linear(x, model.head.weight)
    assert model(torch.zeros(2, 3, 2, 2))["logits"].shape == (2, 3)


def test_lda_finds_the_direction_that_separates():
    torch.manual_seed(0)
    labels = torch.arange(3).repeat_interleave(200)
    features = torch.randn(600, 5) * torch.tensor([10.0, 1, 1, 1, 1])
    features[:, 1] += labels * 4.0  # classes differ along the second axis only
    weight, bias = lda(features, labels, 1, shrinkage=0.0)
    direction = (weight[0] / weight[0].norm()).abs()
    # the first axis has a hundred times the variance and no information
    assert direction[1] > 0.99
    projected = features @ weight.T + bias
    assert projected.mean().abs() < 1e-4


def test_lda_whitens_within_classes():
    torch.manual_seed(0)
    labels = torch.arange(50).repeat_interleave(40)
    features = torch.randn(2000, 6) @ torch.randn(6, 6) + torch.randn(50, 6)[labels] * 3
    weight, bias = lda(features, labels, 6, shrinkage=0.0)
    projected = features @ weight.T + bias
    means = torch.stack([projected[labels == c].mean(0) for c in range(50)])
    within = projected - means[labels]
    covariance = within.T @ within / (2000 - 50)
    torch.testing.assert_close(covariance, torch.eye(6), rtol=0, atol=1e-3)


def test_class_means_are_unit_and_in_place():
    embeddings = torch.tensor([[2.0, 0.0], [4.0, 0.0], [0.0, 3.0]])
    means = class_means(embeddings, torch.tensor([2, 2, 0]), 3)
    torch.testing.assert_close(means[2], torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(means[0], torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(means.norm(dim=1), torch.ones(3))


def test_nothing_loads_by_accident(tmp_path):
    layer = nn.Linear(3, 2)
    good = {key: value + 1 for key, value in layer.state_dict().items()}
    before = layer.weight.clone()
    for bad, message in (
        ({"weight": good["weight"]}, "missing"),
        ({**good, "more": torch.zeros(1)}, "left over"),
        ({**good, "weight": torch.zeros(2, 4)}, "another shape"),
    ):
        with pytest.raises(CheckpointError, match=message):
            load_state(layer, bad, source="file")
        assert torch.equal(layer.weight, before)
    report = load_state(layer, {"weight": good["weight"]}, source="file", allow_missing=["bias"])
    assert report.loaded == ["weight"]
    assert torch.equal(layer.weight, before + 1)


def test_a_malicious_pickle_is_refused(tmp_path):
    marker = tmp_path / "executed"

    class Evil:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    torch.save({"weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match="which could run code"):
        read_weights(tmp_path / "evil.pth")
    assert not marker.exists()
