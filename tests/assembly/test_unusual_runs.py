"""Runs whose data or loss is out of the ordinary: mixed sets, mixed images, told labels."""

import pytest
import torch
from conftest import make_images, train_in_two_parts, trainer_of, write_list
from ruamel.yaml import YAML

from lookalike.assembly.job import build_job
from lookalike.assembly.load import load_run
from lookalike.errors import ConfigError
from lookalike.training import load_checkpoint


@pytest.fixture
def tiny_config(tiny):
    """The tiny run's YAML as values, and a function that writes it back."""
    path = tiny / "run.yaml"
    config = YAML(typ="safe").load(path.read_text())

    def write():
        with path.open("w") as stream:
            YAML(typ="safe").dump(config, stream)

    return config, write


def straight_equals_resumed(tiny):
    trainer_of(tiny, f"Global.output_dir={tiny / 'straight'}").run()
    train_in_two_parts(tiny)
    straight, resumed = load_checkpoint(tiny / "straight"), load_checkpoint(tiny / "output")
    for name, value in straight.model.items():
        assert torch.equal(value, resumed.model[name]), name


def test_a_mixed_data_set_trains_and_resumes(tiny, tiny_config):
    config, write = tiny_config
    train = config["DataLoader"]["Train"]
    ops = train["dataset"]["transform_ops"]
    other = tiny / "other"
    rows = [(name, label + 6, view) for name, label, view in make_images(other, seed=5)]
    write_list(other / "train.txt", rows)
    second = {
        "name": "VeriWild",
        "image_root": str(other / "images"),
        "cls_label_path": str(other / "train.txt"),
        "transform_ops": [ops[0], ops[3]],
    }
    train["dataset"] = {"name": "MixDataset", "datasets_config": [train["dataset"], second]}
    pairs = {"name": "DistributedRandomIdentitySampler", "num_instances": 2}
    train["sampler"] = {
        "name": "MixSampler",
        "batch_size": 8,
        "iter_per_epoch": 3,
        "sample_configs": [
            {**pairs, "ratio": 0.5},
            {"name": "PKSampler", "sample_per_id": 2, "ratio": 0.5},
        ],
    }
    config["Arch"]["Head"]["class_num"] = 12
    write()
    trainer = trainer_of(tiny)
    assert trainer.iterations_per_epoch == 3
    batch = next(trainer.batches.start())
    assert sorted(label // 6 for label in batch.labels.tolist()) == [0] * 4 + [1] * 4
    straight_equals_resumed(tiny)


def soft(config):
    config["Arch"]["Head"] = {"name": "FC", "embedding_size": 16, "class_num": 6}
    config["Loss"]["Train"] = [{"SoftTargetCrossEntropy": {"weight": 1.0}}]
    config["Metric"]["Train"] = [{"TopkAcc": {"topk": [1]}}]
    mixtures = {"MixupOperator": {"alpha": 0.2, "prob": 0.5}, "CutmixOperator": {"prob": 0.5}}
    config["DataLoader"]["Train"]["dataset"]["batch_transform_ops"] = [{"OpSampler": mixtures}]


def test_mixed_images_train_and_resume(tiny, tiny_config):
    config, write = tiny_config
    soft(config)
    write()
    job = build_job(load_run(tiny / "run.yaml"))
    assert "Metric.Train decides nothing: mixed images have no single right class." in job.notes
    batch = next(job.batches.start())
    assert batch.labels.shape == (8, 6)
    torch.testing.assert_close(batch.labels.sum(dim=1), torch.ones(8))
    straight_equals_resumed(tiny)


def test_mixed_images_are_refused_where_one_label_is_needed(tiny, tiny_config):
    config, write = tiny_config
    head, loss = config["Arch"]["Head"], config["Loss"]["Train"]
    soft(config)
    config["Arch"]["Head"], config["Loss"]["Train"] = head, loss
    write()
    with pytest.raises(ConfigError) as caught:
        build_job(load_run(tiny / "run.yaml"))
    said = str(caught.value)
    assert "a margin head needs one label per image. Use the head FC, found ArcMargin." in said
    assert "SupConLoss does not take shares as they are; use SoftTargetCrossEntropy" in said
    assert "run.yaml:" in said


def test_a_network_learns_which_way_is_up(tiny, tiny_config):
    config, write = tiny_config
    dataset = config["DataLoader"]["Train"]["dataset"]
    (tiny / "paths.txt").write_text(
        "".join(f"{line.split()[0]}\n" for line in (tiny / "train.txt").read_text().splitlines())
    )
    config["DataLoader"]["Train"]["dataset"] = {
        "name": "CustomLabelDataset",
        "image_root": dataset["image_root"],
        "sample_list_path": str(tiny / "paths.txt"),
        "label_key": "random_rot90_orientation",
        "transform_ops": [
            dataset["transform_ops"][0],
            {"RandomRot90": None},
            dataset["transform_ops"][3],
        ],
    }
    config["DataLoader"]["Train"]["sampler"] = {"batch_size": 8, "shuffle": True}
    config["Arch"]["Head"] = {"name": "FC", "embedding_size": 16, "class_num": 4}
    config["Loss"]["Train"] = [{"CELoss": {"weight": 1.0}}]
    write()
    assert set(next(trainer_of(tiny).batches.start()).labels.tolist()) <= {0, 1, 2, 3}
    straight_equals_resumed(tiny)


def test_magnitudes_are_rewarded(tiny, tiny_config):
    config, write = tiny_config
    config["Arch"]["Head"] = {"name": "MagMargin", "embedding_size": 16, "class_num": 6}
    config["Loss"]["Train"] = [{"CELoss": {"weight": 1.0}}, {"MagnitudeLoss": {"weight": 35.0}}]
    write()
    straight_equals_resumed(tiny)
    assert "MagnitudeLoss" in (tiny / "output" / "train.log").read_text()
