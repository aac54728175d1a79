"""Which model is used where embeddings are made: found, compared with its run, and reported."""

import json
import shutil

import pytest
import torch
from conftest import TINY_YAML, make_images, trainer_of, write_list
from safetensors.torch import load_file, save_file

from lookalike import EmbeddingModel
from lookalike.assembly.job import build_job
from lookalike.assembly.load import load_run
from lookalike.assembly.model_source import find_model, model_of
from lookalike.assembly.run_model import run_and_model
from lookalike.assembly.untrained import parts_of_evaluation, parts_of_export, weights_by_part
from lookalike.errors import CheckpointError, ConfigError, ModelWarning

pytestmark = pytest.mark.filterwarnings("error::lookalike.errors.ModelWarning")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder of two epochs, its ``best_model`` and ``latest`` made to differ."""
    root = tmp_path_factory.mktemp("trained")
    write_list(root / "train.txt", make_images(root))
    (root / "run.yaml").write_text(TINY_YAML.format(root=root))
    trainer_of(root, "Global.epochs=2").run()
    output = root / "output"
    shutil.rmtree(output / "best_model")
    shutil.copytree(output / "epoch_1", output / "best_model")
    return root


@pytest.fixture
def copied(trained, tmp_path):
    """The run folder at another place, to be changed; returns the YAML and the run folder."""
    shutil.copytree(trained / "output", tmp_path / "output")
    text = (trained / "run.yaml").read_text().replace(f"{trained}/output", f"{tmp_path}/output")
    (tmp_path / "run.yaml").write_text(text)
    return tmp_path / "run.yaml", tmp_path / "output"


def job_of(yaml, *overrides, **options):
    run = load_run(yaml, overrides, training=False)
    return build_job(run, training=False, need_evaluation=False, **options)


def neck_of(folder):
    return load_file(folder / "model.safetensors")["neck.conv.weight"]


def loads(job, folder):
    return torch.equal(job.model.neck.conv.weight.cpu(), neck_of(folder))


def test_the_best_model_of_the_run_folder_is_used_unless_another_is_named(copied):
    yaml, output = copied
    assert not torch.equal(neck_of(output / "best_model"), neck_of(output / "latest"))
    job = job_of(yaml)
    assert loads(job, output / "best_model")
    assert str(job.source) == (
        f"{output}/best_model (the best model of {output}; epoch 1, iteration 3)"
    )
    for named in (output / "latest", output / "latest" / "model.safetensors"):
        assert loads(job_of(yaml, model=named), output / "latest")
        assert loads(job_of(yaml, f"Global.pretrained_model={named}"), output / "latest")
    assert loads(job_of(yaml, f"Global.checkpoints={output}"), output / "latest")
    assert loads(job_of(yaml, model=output), output / "best_model")
    for untrained in ("False", "True"):
        run = load_run(yaml, [f"Global.pretrained_model={untrained}"], training=False)
        assert model_of(run) is None
    assert model_of(load_run(yaml), training=True) is None


def test_without_a_best_model_the_latest_is_used_and_reported(copied):
    yaml, output = copied
    shutil.rmtree(output / "best_model")
    job = job_of(yaml)
    assert loads(job, output / "latest")
    assert f"the only one of {output}, which has no best_model" in str(job.source)
    with pytest.warns(ModelWarning, match="has no best_model"):
        EmbeddingModel.from_pretrained(output)
    for name in ("latest", ".latest.previous"):
        shutil.rmtree(output / name)
    with pytest.raises(CheckpointError, match="epoch_1"):
        find_model(output)


@pytest.mark.parametrize("damage", ["byte", "model.safetensors", "manifest.json"])
def test_a_damaged_best_model_is_never_replaced_by_another(copied, damage):
    yaml, output = copied
    file = output / "best_model" / damage
    if damage == "byte":
        file = output / "best_model" / "model.safetensors"
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    else:
        file.unlink()
    for read in (
        lambda: job_of(yaml),
        lambda: job_of(yaml, model=output),
        lambda: job_of(yaml, f"Global.pretrained_model={output}/best_model"),
        lambda: EmbeddingModel.from_pretrained(output),
    ):
        with pytest.raises(CheckpointError, match=f"best_model.*Intact ones: .*{output}/latest"):
            read()


def test_a_damaged_training_state_does_not_matter_to_an_evaluation(copied):
    yaml, output = copied
    (output / "best_model" / "training_state.pt").unlink()
    assert loads(job_of(yaml), output / "best_model")


def test_a_run_folder_is_used_while_its_best_model_is_replaced(copied):
    yaml, output = copied
    expected = neck_of(output / "best_model")
    (output / "best_model").rename(output / ".best_model.previous")
    assert torch.equal(job_of(yaml).model.neck.conv.weight, expected)


def test_the_stored_configuration_takes_the_place_of_a_yaml(copied):
    _, output = copied
    run, source = run_and_model(None, str(output), ["Global.device=cpu"])
    assert run.config.Global.output_dir == str(output)
    job = build_job(run, training=False, model=source)
    assert loads(job, output / "best_model")
    assert len(job.evaluation.query.dataset) == 24
    assert EmbeddingModel.from_pretrained(output).published["embedding_size"] == 16


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ("outptu", CheckpointError, "Did you mean 'output'"),
        ("run.yaml", CheckpointError, "give it with -c"),
        ("output/epoch_7", CheckpointError, "epoch_1"),
        ("output/best_model/model.safetensors", ConfigError, "--model .*/output/best_model"),
        (None, ConfigError, "--model"),
    ],
)
def test_what_is_no_model_with_a_configuration_is_refused(copied, given, error, text):
    place = None if given is None else str(copied[0].parent / given)
    with pytest.raises(error, match=text):
        run_and_model(None, place)


def test_a_checkpoint_without_its_configuration_needs_a_yaml(copied):
    from lookalike.training.intact import read_manifest, write_manifest

    yaml, output = copied
    manifest = read_manifest(output / "best_model")
    del manifest["config"], manifest["sha256"]
    with open(output / "best_model" / "manifest.json", "wb") as file:
        write_manifest(file, manifest)
    with pytest.raises(ConfigError, match="stores no configuration.*-c"):
        run_and_model(None, str(output))
    run, source = run_and_model(str(yaml), str(output))
    assert loads(
        build_job(run, training=False, need_evaluation=False, model=source), output / "best_model"
    )


def test_one_command_names_one_model(copied):
    yaml, output = copied
    with pytest.raises(ConfigError, match="give one of them"):
        run_and_model(str(yaml), str(output), [f"Global.pretrained_model={output}/latest"])


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("name: avg_pool", "name: flatten", "BackboneStopLayer.name is flatten.*avg_pool"),
        ("name: test_resnet", "name: resnet18", "Backbone.name is resnet18.*test_resnet"),
        ("out_channels: 16", "out_channels: 8", "Neck.out_channels is 8"),
        ("name: VehicleNeck", "name: FC", "Neck.name is FC"),
    ],
)
def test_a_yaml_of_another_model_is_refused_even_if_the_tensors_fit(copied, old, new, text):
    yaml, _ = copied
    changed = yaml.read_text().replace(old, new)
    if "FC" in new:
        changed = changed.replace("in_channels: 96", "embedding_size: 96")
        changed = changed.replace("out_channels: 16", "class_num: 16")
    if new.endswith("resnet18"):
        changed = changed.replace("in_channels: 96", "in_channels: 512")
    if new.endswith("8") and "resnet" not in new:
        changed = changed.replace("embedding_size: 16", "embedding_size: 8")
    yaml.write_text(changed)
    with pytest.raises(CheckpointError, match=f"(?s)not the model.*{text}"):
        job_of(yaml)


def test_another_spelling_is_the_same_model(copied):
    yaml, output = copied
    text = yaml.read_text().replace("in_channels: 96", "in_channels: 96\n    bias_attr: null")
    text = text.replace("Backbone:\n    name: test_resnet\n    pretrained: False",
                        "Backbone:\n    test_resnet: {}")  # fmt: skip
    assert "test_resnet: {}" in text
    yaml.write_text(text)
    assert job_of(yaml).doubts == []


def test_words_without_effect_describe_the_same_model(tmp_path):
    write_list(tmp_path / "train.txt", make_images(tmp_path))
    text = TINY_YAML.format(root=tmp_path)
    text = text.replace("name: avg_pool", "name: avg_pool\n    output_dim: 96")
    (tmp_path / "run.yaml").write_text(text)
    trainer_of(tmp_path, "Global.epochs=1").run()
    assert job_of(tmp_path / "run.yaml").doubts == []
    assert EmbeddingModel.from_pretrained(tmp_path / "output").published["embedding_size"] == 16


def test_other_images_and_other_comparisons_are_reported(copied):
    yaml, output = copied
    yaml.write_text(
        yaml.read_text()
        .replace("image_shape: [3, 32, 32]", "image_shape: [3, 48, 48]")
        .replace("eval_mode: retrieval", "eval_mode: retrieval\n  feature_normalize: False")
        .replace("ResizeImage: {size: 32}", "ResizeImage: {size: 48}")
    )
    with pytest.warns(ModelWarning) as caught:
        job = job_of(yaml)
    said = " ".join(str(one.message) for one in caught)
    assert loads(job, output / "best_model")
    assert "Global.image_shape is [3, 48, 48], but the model was trained with [3, 32, 32]" in said
    assert "Global.feature_normalize is False" in said
    assert "transform_ops is" in said
    assert len(job.doubts) == 3


def test_a_difference_by_hand_is_a_warning(copied):
    yaml, output = copied
    with pytest.warns(ModelWarning, match="BackboneStopLayer.name is global_pool"):
        job = job_of(yaml, "Arch.BackboneStopLayer.name=global_pool")
    assert loads(job, output / "best_model")


def test_weights_to_start_from_do_not_hide_the_trained_model(copied, tmp_path):
    yaml, output = copied
    shutil.copy(output / "latest" / "model.safetensors", tmp_path / "start.safetensors")
    start = f"pretrained_model: {tmp_path}/start.safetensors\n  seed: 7"
    yaml.write_text(yaml.read_text().replace("seed: 7", start))
    with pytest.warns(ModelWarning, match=rf"is not used\. To use it: --model .*{output}"):
        job = job_of(yaml)
    assert loads(job, output / "latest")
    assert loads(job_of(yaml, model=output), output / "best_model")  # nothing to warn of


def test_random_parts_are_named_with_their_tensors(copied, tmp_path):
    yaml, output = copied
    tensors = load_file(output / "best_model" / "model.safetensors")
    backbone = {k.removeprefix("backbone."): v for k, v in tensors.items() if "backbone" in k}
    save_file(backbone, tmp_path / "backbone.safetensors")
    pretrained = f"Arch.Backbone.pretrained={tmp_path}/backbone.safetensors"
    partial = {k: v for k, v in tensors.items() if k != "neck.conv.bias"}
    save_file(partial, tmp_path / "partial.safetensors")
    with pytest.warns(ModelWarning, match=r": neck \(1 of 2 tensors: neck.conv.bias\)\. The"):
        job_of(yaml, model=tmp_path / "partial.safetensors", allow_missing=["neck.conv.bias"])
    with pytest.warns(ModelWarning, match=r": neck \(2 of 2 tensors\)\. The"):
        job = job_of(yaml, "Global.pretrained_model=False", pretrained)
    assert parts_of_evaluation(job.run.config) == parts_of_export(job.run.config)
    assert weights_by_part(job.built) == {
        "backbone": "loaded",
        "neck": "random, 2 of 2 tensors",
        "head": ["random, 1 of 1 tensors", " head.weight"][0],
    }
    # a new head makes no embedding: nothing to warn of
    headless = {k: v for k, v in tensors.items() if not k.startswith("head.")}
    save_file(headless, tmp_path / "headless.safetensors")
    job = job_of(yaml, model=tmp_path / "headless.safetensors", allow_missing=["head.*"])
    assert job.untrained(["backbone", "neck"]) == ""
    assert "head (1 of 1 tensors)" in job.untrained(["backbone", "head"])


def test_a_model_saved_before_the_first_step_is_reported(copied):
    from lookalike.training.intact import read_manifest, write_manifest

    yaml, output = copied
    manifest = read_manifest(output / "best_model")
    manifest["iteration"] = 0
    del manifest["sha256"]
    with open(output / "best_model" / "manifest.json", "wb") as file:
        write_manifest(file, manifest)
    for read in (lambda: job_of(yaml), lambda: EmbeddingModel.from_pretrained(output)):
        with pytest.warns(ModelWarning, match="before the first training step"):
            read()


def test_the_description_of_a_model_is_in_its_checkpoint(copied):
    described = json.loads((copied[1] / "best_model" / "config.json").read_text())
    assert described["arch"]["Neck"]["out_channels"] == 16


def test_a_description_that_is_nested_too_deeply_is_refused(copied):
    yaml, output = copied
    file = output / "best_model" / "config.json"
    described = json.loads(file.read_text())
    inner = '{"a": ' * 3000 + "1" + "}" * 3000
    described["arch"]["Backbone"] = "HERE"
    file.write_text(json.dumps(described).replace('"HERE"', inner))
    for read in (lambda: job_of(yaml), lambda: EmbeddingModel.from_pretrained(output)):
        with pytest.raises(CheckpointError, match="config.json"):
            read()
