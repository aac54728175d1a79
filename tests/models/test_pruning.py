"""Filters taken out: fewer parameters, the same embedding width, the least important first."""

import pytest
import torch
from conftest import train_in_two_parts, trainer_of
from torch import nn

from lookalike import build
from lookalike.assembly.job import build_job
from lookalike.assembly.load import load_run
from lookalike.errors import ConfigError
from lookalike.models.embedding_model import EmbeddingModel
from lookalike.models.pruning import prune_filters
from lookalike.training import load_checkpoint


def small_model(neck=True):
    backbone = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip
    return EmbeddingModel(backbone, nn.Linear(8, 5) if neck else None)


def test_the_smallest_filters_go_and_the_rest_computes_the_same():
    torch.manual_seed(0)
    model = small_model().eval()
    with torch.no_grad():
        dead = [1, 4]
        model.backbone[0].weight[dead] = 0.0
        model.backbone[3].weight[:2] = 0.0
        model.backbone[3].bias[:2] = 0.0
        model.backbone[1].bias.zero_()
    images = torch.randn(2, 3, 12, 12)
    before = model(images)["features"].detach()
    prune_filters(model, ratio=0.25, criterion="l1_norm", image_shape=(3, 12, 12))
    assert model.backbone[0].out_channels == model.backbone[3].out_channels == 6
    torch.testing.assert_close(model(images)["features"], before)


@pytest.mark.parametrize("criterion", ["fpgm", "l1_norm"])
def test_the_embedding_keeps_its_width(criterion):
    model = small_model()
    before = sum(p.numel() for p in model.parameters())
    left = prune_filters(model, ratio=0.5, criterion=criterion, image_shape=(3, 12, 12))
    assert left < before
    assert model(torch.randn(2, 3, 12, 12))["features"].shape == (2, 5)


def test_an_embedding_that_would_shrink_is_refused():
    with pytest.raises(ConfigError, match="would shrink the embedding from 8 to 4"):
        prune_filters(small_model(neck=False), ratio=0.5, image_shape=(3, 12, 12))


def test_a_pruned_run_resumes_and_is_evaluated(tiny):
    slim = "+Slim={prune: {name: fpgm, pruned_ratio: 0.3}}"
    train_in_two_parts(tiny, slim)
    trained = f"Global.pretrained_model={tiny}/output/latest"
    job = build_job(load_run(tiny / "run.yaml", [slim, trained]), training=False)
    saved = load_checkpoint(tiny / "output").model
    for name, value in job.model.state_dict().items():
        assert torch.equal(value, saved[name]), name


def test_a_head_on_the_pruned_backbone_does_not_fit_and_is_told(tiny):
    slim = "+Slim={prune: {name: fpgm, pruned_ratio: 0.3}}"
    widths = ("+Arch.head_feature_from=backbone", "Arch.Head.embedding_size=96")
    with pytest.raises(ConfigError, match=r"Arch\.Head does not fit"):
        build_job(load_run(tiny / "run.yaml", [slim, *widths]))


def test_a_backbone_that_cannot_be_pruned_is_told(tiny):
    model = EmbeddingModel(build("backbone", {"name": "vit_tiny_patch16_224"}), nn.Linear(1000, 5))
    with pytest.raises(ConfigError, match="does not know this backbone's layers"):
        prune_filters(model, ratio=0.5)


def test_other_heads_weights_are_loaded_before_the_pruning(tiny):
    trainer_of(tiny, "Arch.Head.class_num=7", "Global.epochs=1").run()
    slim = "+Slim={prune: {name: fpgm, pruned_ratio: 0.3}}"
    trained = f"Global.pretrained_model={tiny}/output/latest"
    run = load_run(tiny / "run.yaml", [slim, trained])
    notes = " ".join(build_job(run, allow_missing=["head.*"]).notes)
    assert notes.index("of another shape") < notes.index("Slim.prune")
