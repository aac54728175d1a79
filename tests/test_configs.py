"""The project's own YAMLs: headed as they should be, and each trains and is evaluated."""

import json

import pytest
from conftest import ROOT
from reference_data import overrides
from ruamel.yaml import YAML

from lookalike.assembly.load import load_run
from lookalike.cli.train import run_training

CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
FIELDS = ("Purpose", "Data", "Launch", "Hardware", "Time", "Score")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_header_tells_what_a_user_asks_first(path):
    lines = path.read_text().splitlines()
    header = [line[2:].split()[0] for line in lines if line.startswith("# ") and line[2] != " "]
    assert [word for word in header if word in FIELDS] == list(FIELDS)
    assert f"lookalike train -c configs/{path.name}" in path.read_text()
    assert load_run(path).config.Global.output_dir == f"./output/{path.stem}"


@pytest.mark.parametrize(
    "path", [path for path in CONFIGS if path.stem != "quickstart"], ids=lambda path: path.stem
)
def test_it_trains_and_is_evaluated(path, tmp_path):
    config = YAML(typ="safe").load(path.read_text())
    options = [*overrides(config, tmp_path), "Global.eval_interval=1"]
    if path.stem == "face":
        # two hundred faces through an IR-18 take half a minute: see test_face_pairs.py
        options.append("Global.eval_during_train=False")
    run_training(
        str(path), options, resume=False, allow_import=(), allow_missing=(), strict_device=False
    )
    assert (tmp_path / "output" / "latest" / "manifest.json").exists()
    if path.stem == "face":
        return
    lines = (tmp_path / "output" / "metrics.jsonl").read_text().splitlines()
    (measured,) = [row for row in map(json.loads, lines) if row["kind"] == "eval"]
    assert measured["step"] == 2
    assert (tmp_path / "output" / "best_model" / "manifest.json").exists()
