"""A frozen backbone computes once, and the run stays what it is without the cache, to the bit."""

import json
import re

import numpy as np
import pytest
import torch
from conftest import trainer_of
from PIL import Image

from lookalike.errors import ConfigError, DataError
from lookalike.models import EmbeddingModel
from lookalike.training import load_checkpoint

FROZEN = ("Arch.Backbone.freeze=True",)
CACHED = (*FROZEN, "Global.feature_cache=True")


@pytest.fixture
def steady(tiny):
    """The tiny run without the transforms that draw random numbers."""
    file = tiny / "run.yaml"
    text = file.read_text()
    file.write_text(re.sub(r"        - (RandFlipImage|AugMix|RandomErasing).*\n", "", text))
    return tiny


def run(folder, *overrides, epochs=2):
    trainer = trainer_of(folder, *overrides)
    trainer.epochs = epochs
    result = trainer.run()
    records = (folder / "output" / "metrics.jsonl").read_text().splitlines()
    losses = [r["loss"] for r in map(json.loads, records) if r["kind"] == "train"]
    (folder / "output" / "metrics.jsonl").unlink()
    return trainer.update.model.state_dict(), result.metrics, losses


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize(
    "more",
    [
        (),
        (
            "Arch.BackboneStopLayer.name=layer3",
            "Arch.Neck.in_channels=192",
            "Arch.Head.embedding_size=64",
        ),
        ("EMA.decay=0.5", "DataLoader.Train.loader.num_workers=1"),
    ],
    ids=["pooled", "map", "average"],
)
def test_cached_run_is_the_uncached_run_to_the_bit(steady, more):
    plain = run(steady, *FROZEN, *more)
    cached = run(steady, *CACHED, *more)
    assert len(plain[2]) == 6 and plain[2] == cached[2]
    assert plain[1] == cached[1]
    assert same(plain[0], cached[0])


def test_the_backbone_does_not_move_and_the_rest_does(steady):
    trainer = trainer_of(steady, *CACHED)
    before = {k: v.clone() for k, v in trainer.update.model.state_dict().items()}
    trainer.run()
    moved = {
        k.split(".")[0] for k, v in trainer.update.model.state_dict().items()
        if not torch.equal(v, before[k])
    }  # fmt: skip
    assert moved == {"neck", "head"}


def test_the_backbone_runs_once_for_each_image_and_not_at_all_the_second_time(steady):
    seen = []

    def count(trainer):
        trainer.update.model.backbone.register_forward_hook(
            lambda module, inputs, output: seen.append(len(output))
        )
        trainer.run()

    count(trainer_of(steady, *CACHED))
    # 24 images under one chain of transforms: training and evaluation look at the same
    assert sum(seen) == 24
    seen.clear()
    count(trainer_of(steady, *CACHED))
    assert seen == []


def test_resumed_run_is_the_uninterrupted_one(steady):
    whole = run(steady, *FROZEN)
    run(steady, *CACHED, epochs=1)
    second = trainer_of(steady, *CACHED, "Global.seed=7")
    second.restore(load_checkpoint(steady / "output"))
    second.run()
    assert same(whole[0], second.update.model.state_dict())


def test_other_pixels_other_transforms_and_other_weights_are_computed_anew(steady):
    def rows():
        files = (steady / "output" / "features").glob("*/part-*.npy")
        return sum(len(np.load(file)) for file in files)

    run(steady, *CACHED)
    assert rows() == 24
    image = steady / "images" / "000" / "000.jpg"
    Image.open(image).rotate(180).save(image)
    run(steady, *CACHED)
    assert rows() == 25
    yaml = steady / "run.yaml"
    text = yaml.read_text().replace("ResizeImage: {size: 32}", "ResizeImage: {size: 40}")
    yaml.write_text(text.replace("image_shape: [3, 32, 32]", "image_shape: [3, 40, 40]"))
    run(steady, *CACHED)
    assert rows() == 49
    run(steady, *CACHED, "Global.seed=8")
    assert rows() == 73
    assert len(list((steady / "output" / "features").iterdir())) == 2


def test_a_folder_of_ones_own(steady):
    run(steady, *FROZEN, f"Global.feature_cache={steady}/mine")
    assert not (steady / "output" / "features").exists()
    (about,) = (steady / "mine").glob("*/about.json")
    assert json.loads(about.read_text())["backbone"] == "test_resnet"


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("Arch.Backbone.freeze=False", "the backbone learns; set Arch.Backbone.freeze: True"),
        ("AMP.use_amp=True", "set AMP.use_amp: False"),
        ("Slim.quant.name=pact", "Slim changes the backbone"),
    ],
)
def test_what_does_not_stay_the_same_is_refused(steady, override, reason):
    with pytest.raises(ConfigError, match=reason) as caught:
        trainer_of(steady, *CACHED, override)
    assert "Global.feature_cache" in str(caught.value)


def test_random_transforms_are_refused_by_name(tiny):
    with pytest.raises(ConfigError) as caught:
        trainer_of(tiny, *CACHED)
    message = str(caught.value)
    assert "RandomFlip, AugMix, RandomErasing" in message
    assert "NormalizeImage" not in message and "Resize" not in message


def test_a_damaged_file_is_told_with_what_to_do(steady):
    run(steady, *CACHED)
    (file,) = (steady / "output" / "features").glob("*/part-*.npy")
    good = file.read_bytes()
    for bad in (good[:-40], good[:-40] + bytes(40), b"", b"text"):
        file.write_bytes(bad)
        with pytest.raises(DataError, match=r"part-.*damaged.*Delete it"):
            run(steady, *CACHED)
    file.unlink()
    run(steady, *CACHED)


def test_a_stopped_computation_goes_on(steady, monkeypatch):
    monkeypatch.setattr("lookalike.assembly.feature_cache._FILE_BYTES", 1)
    seen = []

    def stop(module, inputs, output):
        seen.append(len(output))
        if len(seen) == 3:
            raise KeyboardInterrupt

    trainer = trainer_of(steady, *CACHED, "Global.eval_during_train=False")
    trainer.update.model.backbone.register_forward_hook(stop)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert seen == [8, 8, 8]
    seen.clear()
    trainer = trainer_of(steady, *CACHED, "Global.eval_during_train=False")
    trainer.update.model.backbone.register_forward_hook(stop)
    trainer.run()
    assert seen == [8]


def test_a_frozen_backbone_is_evaluated_in_training():
    backbone = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Dropout(), torch.nn.Flatten())
    model = EmbeddingModel(backbone, neck=torch.nn.Linear(12, 2))
    model.freeze_backbone()
    model.train()
    images = torch.randn(4, 3, 2, 2)
    assert torch.equal(model(images)["features"], model(images)["features"])
    assert model.neck.training and not any(p.requires_grad for p in backbone.parameters())
    assert torch.equal(backbone[0].running_mean, torch.zeros(3))
