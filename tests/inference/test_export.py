"""Exported files compute what the model computes, or are not written."""

import hashlib
import json
import shutil
import signal

import onnx
import pytest
import torch
import yaml
from conftest import trainer_of
from killed import killed_at, points_passed

from lookalike.assembly import export as assembly_export
from lookalike.assembly.embedding import embedded_by_export, embedded_split
from lookalike.assembly.export import export
from lookalike.assembly.job import build_job
from lookalike.assembly.load import load_run
from lookalike.durable import staging
from lookalike.errors import ConfigError, ExportError, SetupError
from lookalike.inference.export import (
    ONNX,
    PROGRAM,
    ExportedModel,
    one_output,
    run_onnx,
    run_program,
    traced,
    write_onnx,
)
from lookalike.training import RunLog
from lookalike.types import EmbeddingTable


def job_of(tiny, *overrides):
    options = [f"Global.save_inference_dir={tiny}/inference", *overrides]
    run = load_run(tiny / "run.yaml", options, training=False)
    return build_job(run, training=False, need_evaluation=False)


def exported(tiny, *overrides, **kwargs):
    options = {"images": 12, "allow_random_weights": True, "advance": lambda what: None}
    return export(job_of(tiny, *overrides), **(options | kwargs))


def test_the_files_compute_what_the_trained_model_computes(tiny):
    trainer_of(tiny, "Global.epochs=1").run()
    trained = f"Global.pretrained_model={tiny}/output/latest"
    card = exported(tiny, trained)
    job = job_of(tiny, trained)
    images = torch.rand(5, 3, 32, 32)
    with torch.no_grad():
        expected = job.model.eval()(images)["features"]
    for run in (run_program(tiny / "inference" / PROGRAM), run_onnx(tiny / "inference" / ONNX)):
        for size in (1, 2, 5):
            torch.testing.assert_close(run(images[:size]), expected[:size], rtol=1e-3, atol=1e-5)
    assert card["output"] == {"key": "features", "size": expected.shape[1], "softmax": False}
    for name, digest in card["files"].items():
        assert hashlib.sha256((tiny / "inference" / name).read_bytes()).hexdigest() == digest


def test_the_card_is_the_contract(tiny):
    exported(tiny)
    card = json.loads((tiny / "inference" / "card.json").read_text())
    assert card["input"]["shape"] == ["batch", 3, 32, 32]
    assert card["preprocessing"][0] == {"ResizeImage": {"size": 32}}
    assert card["compare"] == {"normalize": True, "binarize": None}
    assert card["parity"][ONNX]["drift"] < 1e-4
    assert card["labels"].endswith("train.txt")
    model = onnx.load(tiny / "inference" / ONNX)
    inside = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(inside["compare"]) == card["compare"]
    assert named(model) == (["images", "batch", 3, 32, 32], ["features", "batch", 16])


def named(model):
    """Return name and shape of the only input and output of an ONNX model."""
    onnx.checker.check_model(model, full_check=True)
    (given,), (result,) = model.graph.input, model.graph.output
    return tuple(
        [one.name, *(d.dim_param or d.dim_value for d in one.type.tensor_type.shape.dim)]
        for one in (given, result)
    )


class Layers(torch.nn.Module):
    """A model whose operations have the names that its input and output shall have."""

    def __init__(self, last):
        super().__init__()
        self.features = torch.nn.Linear(12, 4)
        self.images, self.last = torch.nn.ReLU(), last

    def forward(self, images):
        features = self.images(self.features(images.flatten(1)))
        backbone = features[:, :, None, None] + images.shape[0]
        return {"features": self.last(features), "logits": features, "backbone": backbone}


@pytest.mark.parametrize("key", ["features", "logits", "backbone"])
@pytest.mark.parametrize("last", [torch.nn.Identity(), torch.nn.Tanh(), torch.nn.LayerNorm(4)])
def test_onnx_files_have_the_same_names_whatever_the_model(tmp_path, last, key):
    model = Layers(last).eval()
    for softmax in (False, True):
        program = traced(ExportedModel(model, key, softmax=softmax), (3, 2, 2))
        write_onnx(program, tmp_path / ONNX, {}, key)
        found = named(onnx.load(tmp_path / ONNX))
        assert found == (["images", "batch", 3, 2, 2], [key, "batch", 4])
        images = torch.randn(3, 3, 2, 2)
        expected = one_output(model, images, key, softmax=softmax).detach()
        torch.testing.assert_close(run_onnx(tmp_path / ONNX)(images), expected)


def test_of_several_models_the_chosen_one_is_exported_under_these_names(tiny):
    config = yaml.safe_load((tiny / "run.yaml").read_text())
    arch = config["Arch"]
    teacher = {**arch, "Neck": {**arch["Neck"], "out_channels": 8}}
    teacher["Head"] = {**arch["Head"], "embedding_size": 8}
    models = [{"Teacher": teacher}, {"Student": arch}]
    key = {"infer_output_key": "logits", "infer_add_softmax": False}
    config["Arch"] = {"name": "DistillationModel", "models": models, **key}
    (tiny / "run.yaml").write_text(yaml.safe_dump(config))
    exported(tiny)
    found = named(onnx.load(tiny / "inference" / ONNX))
    assert found == (["images", "batch", 3, 32, 32], ["logits", "batch", 6])


def test_logits_and_their_softmax(tiny):
    logits = "Arch.infer_output_key=logits"
    card = exported(tiny, logits, "Arch.infer_add_softmax=True", onnx=False)
    assert card["output"] == {"key": "logits", "size": 6, "softmax": True}
    probabilities = run_program(tiny / "inference" / PROGRAM)(torch.rand(2, 3, 32, 32))
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(2))
    card = exported(tiny, logits, "Arch.infer_add_softmax='false'", onnx=False)
    assert not card["output"]["softmax"]


def test_a_file_that_differs_is_not_kept(tiny, monkeypatch):
    exported(tiny, onnx=False)
    before = {path.name: path.read_bytes() for path in (tiny / "inference").iterdir()}

    def broken(path):
        run = run_program(path)
        return lambda images: run(images) + torch.tensor([1.0, *[0.0] * 15])

    monkeypatch.setattr(assembly_export, "run_program", broken)
    with pytest.raises(ExportError, match=r"does not compute what .* Nothing was written"):
        exported(tiny, onnx=False)
    assert {p.name: p.read_bytes() for p in (tiny / "inference").iterdir()} == before
    assert not list(tiny.glob(".inference*"))


def test_without_an_evaluation_noise_is_compared_and_the_card_says_so(tiny):
    config = (tiny / "run.yaml").read_text()
    start, end = config.index("  Eval:\n    Query"), config.index("Metric:")
    (tiny / "run.yaml").write_text(config[:start] + config[end:])
    assert exported(tiny, onnx=False)["compared_on"] == "noise"


def test_parallel_branches_are_fused(tiny):
    arch = "Arch.Backbone={name: PPLCNetV2_base_ShiTu, num_features: 32}"
    overrides = (
        arch,
        "Arch.BackboneStopLayer.name=flatten",
        "Arch.Neck={name: BNNeck, num_features: 32}",
        "Arch.Head={name: FC, embedding_size: 32, class_num: 6}",
    )
    exported(tiny, *overrides, onnx=False)
    program = torch.export.load(tiny / "inference" / PROGRAM)
    fused = sum("conv2d" in str(node.target) for node in program.graph.nodes)
    job = job_of(tiny, *overrides)
    separate = sum(isinstance(m, torch.nn.Conv2d) for m in job.model.modules())
    assert fused < separate


def test_a_backbone_that_was_cut_by_observing_it_is_exported(tiny):
    exported(
        tiny,
        "Arch.Backbone={name: tf_efficientnet_lite0}",
        "Arch.BackboneStopLayer.name=flatten",
        "Arch.Neck={name: FC, embedding_size: 1280, class_num: 16}",
        onnx=False,
    )
    run = run_program(tiny / "inference" / PROGRAM)
    assert run(torch.rand(3, 3, 32, 32)).shape == (3, 16)


def test_logits_without_a_head_are_refused(tiny):
    run = (tiny / "run.yaml").read_text()
    start, end = run.index("  Head:"), run.index("Loss:")
    (tiny / "run.yaml").write_text(run[:start] + run[end:])
    with pytest.raises(ConfigError, match="no Arch.Head"):
        exported(tiny, "Arch.infer_output_key=logits", onnx=False)


def test_an_older_onnx_file_does_not_stay_beside_another_card(tiny):
    folder = tiny / "inference"
    folder.mkdir()
    (folder / ONNX).write_text("of an earlier export")
    exported(tiny, onnx=False)
    assert not (folder / ONNX).exists()


def test_without_image_shape_the_size_of_the_images_decides(tiny):
    yaml = tiny / "run.yaml"
    yaml.write_text(yaml.read_text().replace("  image_shape: [3, 32, 32]\n", ""))
    card = exported(tiny, onnx=False)
    assert card["input"]["shape"] == ["batch", 3, 32, 32]
    run = run_program(tiny / "inference" / PROGRAM)
    assert len(run(torch.rand(2, 3, 32, 32))) == 2


def test_zero_embeddings_are_equal_and_infinite_ones_are_told():
    labels, zeros = torch.tensor([0, 0, 1, 1]), torch.zeros(4, 8)
    parity = assembly_export._compare("model.pt2", lambda images: images, zeros, zeros, labels)
    assert parity.drift == 0.0
    wild = zeros.clone()
    wild[1, 2] = torch.inf
    with pytest.raises(ExportError, match="training has diverged"):
        assembly_export._compare("model.pt2", lambda images: images, wild, wild, labels)


# --- an exported folder embeds


def run_cli(lookalike, tiny, *args):
    return lookalike("embed", "-c", tiny / "run.yaml", "--split", "Query", *args)


@pytest.mark.parametrize("onnx_too", [True, False])
def test_the_exported_folder_embeds_a_split(tiny, onnx_too):
    exported(tiny, onnx=onnx_too)
    job = job_of(tiny)
    log = RunLog(tiny / "output", "embed", quiet=True)
    expected = embedded_split(job, "Query", log)
    folder = str(tiny / "inference")
    if not onnx_too:
        with pytest.raises(SetupError, match="--allow-program"):
            embedded_by_export(job.run, folder, "Query", log, [])
    found = embedded_by_export(job.run, folder, "Query", log, [], allow_program=not onnx_too)
    torch.testing.assert_close(found.embeddings, expected.embeddings, rtol=1e-3, atol=1e-5)
    assert found.ids == expected.ids
    assert torch.equal(found.labels, expected.labels)
    digest = hashlib.sha256((tiny / "inference" / (ONNX if onnx_too else PROGRAM)).read_bytes())
    assert found.fingerprint == digest.hexdigest()[:16]


def test_the_command_embeds_with_the_exported_folder(tiny, lookalike):
    exported(tiny)
    done = run_cli(lookalike, tiny, "--exported", tiny / "inference", "--out", tiny / "t.npz")
    assert done.returncode == 0, done.stderr
    assert EmbeddingTable.load(tiny / "t.npz").embeddings.shape[1] == 16


def test_an_exported_folder_that_was_changed_is_refused(tiny, lookalike):
    exported(tiny)
    (tiny / "inference" / ONNX).write_bytes(b"something else")
    done = run_cli(lookalike, tiny, "--exported", tiny / "inference", "--out", tiny / "t.npz")
    assert done.returncode == 7
    assert "not the file its card.json was written for" in done.stderr
    (tiny / "inference" / "card.json").write_text("[]")
    done = run_cli(lookalike, tiny, "--exported", tiny / "inference", "--out", tiny / "t.npz")
    assert "not a card" in done.stderr
    done = run_cli(lookalike, tiny, "--exported", tiny / "nowhere", "--out", tiny / "t.npz")
    assert "lookalike export" in done.stderr
    assert not (tiny / "t.npz").exists()


def test_images_prepared_in_another_way_are_refused(tiny):
    exported(tiny)
    path = "DataLoader.Eval.Query.dataset.transform_ops.1.NormalizeImage.scale=0.5"
    run = load_run(tiny / "run.yaml", [path], training=False)
    with pytest.raises(ConfigError, match="prepares them by"):
        embedded_by_export(run, str(tiny / "inference"), "Query", RunLog(quiet=True), [])


@pytest.mark.parametrize("earlier", [False, True])
def test_a_kill_while_files_are_put_in_place_leaves_no_card_of_other_files(tmp_path, earlier):
    """At every point: a whole export, an earlier whole one, or no card."""

    def publish(text):
        with staging(tmp_path / "inference") as unfinished:
            for name in (PROGRAM, ONNX, "card.json"):
                (unfinished / name).write_text(text)
            assembly_export._publish(unfinished, tmp_path / "inference")

    def found():
        return {path.name: path.read_text() for path in (tmp_path / "inference").glob("*")}

    def begin():
        for path in tmp_path.iterdir():  # what a kill has left as well
            shutil.rmtree(path)
        if earlier:
            publish("old")
            (tmp_path / "inference" / "notes.txt").write_text("mine")

    begin()
    total = points_passed(lambda: publish("new"))
    assert total == (15 if earlier else 6)
    seen = []
    for nth in range(1, total + 1):
        begin()
        assert killed_at(lambda: publish("new"), f"file.*:{nth}:kill") == -signal.SIGKILL
        files = found()
        assert (files.pop("notes.txt", None) == "mine") == earlier
        assert len(set(files.values())) <= 1, files
        if "card.json" in files:
            assert set(files) == {PROGRAM, ONNX, "card.json"}
        seen.append(bool(files))
    assert seen[-1]
    publish("new")
    assert set(found().values()) == ({"new", "mine"} if earlier else {"new"})
    assert [path.name for path in tmp_path.iterdir()] == ["inference"]
