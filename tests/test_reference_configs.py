"""Every reference YAML, unchanged: checks, trains, evaluates, saves, resumes, exports."""

import json

import pytest
import torch
from conftest import SHARED
from reference_data import overrides
from ruamel.yaml import YAML

from lookalike.cli.export import run_export
from lookalike.cli.train import run_training
from lookalike.inference.export import run_onnx, run_program

FOLDER = SHARED / "configs"
CONFIGS = sorted(FOLDER.rglob("*.yaml"))
ALLOWED = {"allow_import": (), "allow_missing": (), "strict_device": False}

# writing ONNX takes ten seconds
ONNX = ("GeneralRecognitionV2", "quick_start")
COUNTS = ("kind", "epoch", "step")

pytestmark = pytest.mark.skipif(not CONFIGS, reason="the reference's YAMLs are not here")


@pytest.mark.walkthrough
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_a_reference_yaml_runs_unchanged(path, tmp_path):
    config = YAML(typ="safe").load(path.read_text())
    onnx = path.parent.name in ONNX
    options = overrides(config, tmp_path)
    output = tmp_path / "output"
    run_training(str(path), options, resume=False, **ALLOWED)
    manifest = json.loads((output / "latest" / "manifest.json").read_text())
    assert manifest["iteration"] == 2
    assert {folder.name for folder in output.iterdir() if folder.is_dir()} >= {"latest", "epoch_1"}

    more = [text for text in options if not text.startswith("Global.epochs=")]
    run_training(str(path), [*more, "Global.epochs=2"], resume=True, **ALLOWED)
    assert json.loads((output / "latest" / "manifest.json").read_text())["iteration"] == 4

    lines = (output / "metrics.jsonl").read_text().splitlines()
    (measured,) = [row for row in map(json.loads, lines) if row["kind"] == "eval"]
    found = {name: value for name, value in measured.items() if name not in COUNTS}
    assert min(found.values()) >= 0.0
    assert all(value <= 1.0 for name, value in found.items() if "loss" not in name.lower())

    best = [text for text in options if not text.startswith("Global.pretrained_model=")]
    best.append(f"Global.pretrained_model={output / 'latest'}")
    run_export(str(path), best, onnx=onnx, images=16, allow_import=(), allow_missing=())
    folder = tmp_path / "inference"
    card = json.loads((folder / "card.json").read_text())
    images = torch.rand(3, *card["input"]["shape"][1:])
    output = run_program(folder / "model.pt2")(images)
    assert output.shape == (3, card["output"]["size"])
    if onnx:
        again = run_onnx(folder / "model.onnx")(images)
        # numbers near zero carry the rounding of the large ones they are sums of
        largest = max(1.0, float(output.abs().max()))
        torch.testing.assert_close(output, again, rtol=1e-3, atol=1e-4 * largest)
