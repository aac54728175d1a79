"""Weights in from the reference, and models out as folders that can be read again."""

import json
import pickle

import numpy as np
import pytest
import torch
from conftest import trainer_of
from reference_files import as_theirs, their_backbone_names
from safetensors.torch import load_file

from lookalike import EmbeddingModel
from lookalike.assembly.job import build_job
from lookalike.assembly.load import load_run
from lookalike.errors import CheckpointError, ConfigError, ModelWarning

PPLCNET = """\
Global: {device: cpu, image_shape: [3, 32, 32], output_dir: OUT}
Arch:
  name: RecModel
  Backbone: {name: PPLCNet_x0_25, pretrained: True}
  BackboneStopLayer: {name: flatten}
  Neck: {name: BNNeck, num_features: 1280}
  Head: {name: FC, embedding_size: 1280, class_num: 7}
"""


@pytest.fixture
def pplcnet(tmp_path):
    """A YAML, its model with random weights and statistics, and the reference's file of it."""
    yaml = tmp_path / "rec.yaml"
    yaml.write_text(PPLCNET.replace("OUT", str(tmp_path / "output")))
    run = load_run(yaml, ["Arch.Backbone.pretrained=False"], training=False)
    with pytest.warns(ModelWarning, match="backbone .* tensors"):
        model = build_job(run, training=False, need_evaluation=False).model.eval()
    generator = torch.Generator().manual_seed(3)
    for name, buffer in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    file = tmp_path / "best_model.pdparams"
    file.write_bytes(pickle.dumps(as_theirs(model), protocol=4))
    return tmp_path, yaml, model


def embeddings(model):
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model.eval()(images)["features"]


def test_convert_to_a_file_and_to_a_folder(pplcnet, lookalike):
    folder, yaml, model = pplcnet
    done = lookalike("convert", folder / "best_model", folder / "out.safetensors", "-c", yaml)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "missing             0" in done.stdout
    found = load_file(folder / "out.safetensors")
    assert set(found) == set(model.state_dict())
    assert all(torch.equal(found[k], v) for k, v in model.state_dict().items() if "track" not in k)

    done = lookalike("convert", folder / "best_model.pdparams", folder / "hub", "-c", yaml)
    assert done.returncode == 0, done.stderr + done.stdout
    again = EmbeddingModel.from_pretrained(folder / "hub")
    assert isinstance(again, EmbeddingModel)
    torch.testing.assert_close(embeddings(again), embeddings(model), rtol=0, atol=0)
    assert again.published["embedding_size"] == 1280
    card = (folder / "hub" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: lookalike")
    assert "PPLCNet_x0_25" in card
    done = lookalike("convert", folder / "best_model", folder / "hub", "-c", yaml)
    assert done.returncode == 2
    assert "exists already" in done.stderr
    done = lookalike("convert", folder / "best_model", folder / "x.pth", "-c", yaml)
    assert done.returncode == 2
    assert ".safetensors" in done.stderr


@pytest.mark.parametrize("meant", ["best_model", "best_model.pdparams"])
def test_their_file_is_used_directly(pplcnet, meant):
    folder, yaml, model = pplcnet
    whole = [f"Global.pretrained_model={folder / meant}", "Arch.Backbone.pretrained=False"]
    run = load_run(yaml, whole, training=False)
    found = build_job(run, training=False, need_evaluation=False).model
    torch.testing.assert_close(embeddings(found), embeddings(model), rtol=0, atol=0)
    # of a whole model's file the backbone can be had alone; its classifier was cut off
    part = [f"Arch.Backbone.pretrained={folder / meant}", "Arch.Head.class_num=9"]
    run = load_run(yaml, part, training=False)
    with pytest.warns(ModelWarning, match=r"random weights.*: neck \(4 of 4 tensors\)\."):
        found = build_job(run, training=False, need_evaluation=False)
    assert torch.equal(found.model.backbone.conv_stem.weight, model.backbone.conv_stem.weight)
    assert "missing" in " ".join(found.notes)


def test_a_backbones_own_file(pplcnet, monkeypatch):
    from lookalike import build

    folder, yaml, _ = pplcnet
    full = build("backbone", "PPLCNet_x0_25").eval()
    arrays = {
        their_backbone_names()[key]: tensor.numpy().T if tensor.ndim == 2 else tensor.numpy()
        for key, tensor in full.state_dict().items()
        if "track" not in key
    }
    file = folder / "weights" / "PPLCNet_x0_25.pdparams"
    file.parent.mkdir()
    file.write_bytes(pickle.dumps(arrays, protocol=4))
    monkeypatch.setenv("LOOKALIKE_WEIGHTS", str(file.parent))  # `pretrained: True` finds it here
    with pytest.warns(ModelWarning, match=r"random weights.*: neck \(4 of 4 tensors\)\."):
        found = build_job(load_run(yaml, training=False), training=False, need_evaluation=False)
    assert torch.equal(found.model.backbone.conv_stem.weight, full.conv_stem.weight)
    assert any("PPLCNet_x0_25.pdparams" in note for note in found.notes)
    wrong = [f"Global.pretrained_model={file}", "Arch.Backbone.pretrained=False"]
    with pytest.raises(
        CheckpointError, match=r"weights of a\s+backbone alone.*Backbone.pretrained"
    ):
        build_job(load_run(yaml, wrong, training=False), training=False, need_evaluation=False)


def test_half_a_file_stops_with_a_table(pplcnet, lookalike):
    folder, yaml, model = pplcnet
    state = as_theirs(model, **{"loss_func.1.centers": np.zeros((7, 4), dtype=np.float32)})
    del state["neck.feat_bn._mean"]
    state["head.extra"] = np.zeros(3, dtype=np.float32)
    (folder / "half.pdparams").write_bytes(pickle.dumps(state))
    options = ("convert", folder / "half", folder / "out.safetensors", "-c", yaml)
    done = lookalike(*options, "-o", "Arch.Head.class_num=9")
    assert done.returncode == 6
    said = " ".join(done.stderr.split())
    assert "missing 1 neck.feat_bn.running_mean" in said
    assert "left over 1 head.extra" in said
    assert "head.fc.weight [7, 1280] -> [9, 1280]" in said
    assert "--allow-missing" in said
    assert not (folder / "out.safetensors").exists()
    allowed = ("--allow-missing", "head.*", "--allow-missing", "neck.feat_bn.running_mean")
    done = lookalike(*options, *allowed, "-o", "Arch.Head.class_num=9")
    assert done.returncode == 0, done.stderr
    assert "1 tensors of losses are not part of the model" in " ".join(done.stdout.split())


def test_a_checkpoint_is_a_folder_that_can_be_read(tiny):
    trainer = trainer_of(tiny, "Global.epochs=1")
    trainer.run()
    folder = tiny / "output" / "best_model"
    found = EmbeddingModel.from_pretrained(folder)
    torch.testing.assert_close(embeddings(found), embeddings(trainer.update.model))
    config = json.loads((folder / "config.json").read_text())
    assert config["arch"]["Neck"] == {"name": "VehicleNeck", "in_channels": 96, "out_channels": 16}
    assert "pretrained" not in config["arch"]["Backbone"]
    assert config["preprocessing"][0] == {"ResizeImage": {"size": 32}}
    card = (folder / "README.md").read_text()
    for text in ("| recall1 |", " to ", "| Train | 24 |", "license: other", "ResizeImage"):
        assert text in card, text
    (folder / "README.md").write_text("my own words")  # a card may be edited
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json: cannot be read"):
        EmbeddingModel.from_pretrained(folder)
    resumed = trainer_of(tiny)
    from lookalike.training import load_checkpoint

    resumed.restore(load_checkpoint(folder))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not a model of Lookalike"),
        ('{"arch": {"Backbone": {"name": 3}}, "image_shape": [3, 8, 8]}', "config.json"),
        ('{"arch": {"Backbone": {"name": "os:system"}}, "image_shape": [3, 8, 8]}', "allow-import"),
        ('{"arch": {"Backbone": {"name": "nonet"}}, "image_shape": [3, 8, 8]}', "no backbone"),
        ("x" * 300_000, "larger than"),
    ],
)
def test_a_strange_configuration_is_refused(tmp_path, content, message):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises((CheckpointError, ConfigError), match=message):
        EmbeddingModel.from_pretrained(tmp_path)
