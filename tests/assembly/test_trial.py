"""What only training would meet is found before the first step, by check and by train alike."""

import numpy as np
import pytest
from conftest import make_images, write_list
from typer.testing import CliRunner

from lookalike.assembly.job import build_job
from lookalike.assembly.load import load_run
from lookalike.assembly.training import make_trainer
from lookalike.assembly.trial import check_training_pass
from lookalike.cli.main import app
from lookalike.errors import ConfigError
from lookalike.training import RunLog

SLICES = "DataLoader.Train.sampler={name: DistributedBatchSampler, batch_size: %d, drop_last: %s}"
# at 32 pixels the last maps of this backbone are 1 x 1
SMALL = [
    "Arch.Backbone={name: PPLCNet_x0_25}",
    "Arch.BackboneStopLayer.name=flatten",
    "Arch.Neck={name: BNNeck, num_features: 1280}",
    "Arch.Head={name: FC, embedding_size: 1280, class_num: 6}",
    "Loss.Train=[{CELoss: {}}]",
]
FROZEN = "Arch.Backbone={name: PPLCNet_x0_25, freeze: True}"
LINEAR = "Arch.Neck={name: FC, embedding_size: 1280, class_num: 1280}"


@pytest.fixture
def nine(tmp_path):
    """Return a folder with a run on nine images."""
    from conftest import TINY_YAML

    write_list(tmp_path / "train.txt", make_images(tmp_path, num_labels=3, per_label=3))
    text = TINY_YAML.format(root=tmp_path).replace("batch_size: 8", "batch_size: 4")
    (tmp_path / "run.yaml").write_text(text)
    return tmp_path


def command(name, folder, *overrides):
    arguments = [name, "-c", str(folder / "run.yaml")]
    for override in overrides:
        arguments += ["-o", override]
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


@pytest.mark.parametrize("name", ["check", "train"])
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ([SLICES % (4, False)], "sampler.drop_last: the last batch of an epoch has one image"),
        ([SLICES % (8, False)], "9 images, batch_size 8"),
        ([SLICES % (1, True)], "sampler.batch_size: is 1"),
        ([SLICES % (9, True), "Global.micro_batch_size=1"], "micro_batch_size"),
        ([SLICES % (4, False), FROZEN], "Arch.Neck: BNNeck"),
    ],
)
def test_a_batch_of_one_image_that_a_batch_norm_cannot_take(nine, name, settings, words):
    code, output = command(name, nine, *SMALL, *settings)
    assert code == 2, output
    assert words in output
    assert not (nine / "output" / "latest").exists()


@pytest.mark.parametrize(
    "settings",
    [
        [SLICES % (4, True)],
        [SLICES % (5, False)],
        [SLICES % (4, False), "Global.iter_per_epoch=1", "Global.epochs=2"],  # never reached
        [SLICES % (4, False), FROZEN, LINEAR],
        ["DataLoader.Train.sampler={name: PKSampler, batch_size: 4, sample_per_id: 2}"],
        [SLICES % (9, False), "Global.micro_batch_size=2", FROZEN, LINEAR],
    ],
)
def test_batches_that_are_large_enough(nine, settings):
    code, output = command("check", nine, *SMALL, *settings)
    assert code == 0, output


def test_a_batch_of_one_image_is_fine_where_maps_are_larger(nine):
    larger = [
        f"DataLoader.{split}.dataset.transform_ops=[{{ResizeImage: {{size: 64}}}}]"
        for split in ("Train", "Eval.Query", "Eval.Gallery")
    ]
    settings = [*SMALL, SLICES % (4, False), LINEAR, "Global.image_shape=[3, 64, 64]", *larger]
    code, output = command("check", nine, *settings)
    assert code == 0, output
    settings += ["Global.epochs=1", "Global.eval_during_train=False"]
    code, output = command("train", nine, *settings)
    assert code == 0, output


def test_a_trial_leaves_the_model_and_the_generators_as_they_were(nine):
    import torch

    job = build_job(load_run(nine / "run.yaml", [*SMALL, SLICES % (5, False)]))
    job.model.eval()
    before = {key: value.clone() for key, value in job.model.state_dict().items()}
    state = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    check_training_pass(job, 1, 2)
    assert not job.model.training
    assert all(torch.equal(before[key], value) for key, value in job.model.state_dict().items())
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1] == np.random.get_state()[1].tolist()  # noqa: NPY002


def test_a_network_that_returns_more_in_training_is_told(nine):
    settings = [
        "Arch.Backbone={name: torchvision.googlenet, init_weights: False}",
        "Arch.BackboneStopLayer=null", "Arch.Neck=null", "Arch.Head=null",
        "Loss.Train=[{SupConLoss: {}}]",
    ]  # fmt: skip
    job = build_job(load_run(nine / "run.yaml", settings))
    with pytest.raises(ConfigError, match="GoogLeNetOutputs in training, not one tensor"):
        make_trainer(job, RunLog(quiet=True))


@pytest.mark.parametrize("name", ["check", "train", "eval"])
@pytest.mark.parametrize("split", ["Train", "Eval.Query", "Eval.Gallery"])
def test_images_of_another_shape_than_the_network_are_refused(nine, name, split):
    code, output = command(
        name, nine, f"DataLoader.{split}.dataset.transform_ops=[{{ResizeImage: {{size: 48}}}}]"
    )
    if (name, split) == ("eval", "Train"):
        assert "[3, 48, 48]" not in output
        return
    assert code == 2, output
    assert f"DataLoader.{split}.dataset" in output
    assert "the images are [3, 48, 48]" in output
    assert "Global.image_shape is [3, 32, 32]" in output


def test_the_first_image_that_can_be_read_shows_the_shape(nine):
    (nine / "images" / "000" / "000.jpg").write_bytes(b"broken")
    code, output = command("check", nine, "Global.image_shape=[3, 48, 48]")
    assert code == 2
    assert "the images are [3, 32, 32]" in output


def test_without_any_image_that_can_be_read_nothing_starts(nine):
    for image in (nine / "images").rglob("*.jpg"):
        image.write_bytes(b"broken")
    code, output = command("check", nine)
    assert code == 3
    assert "000/000.jpg: not an image" in output
