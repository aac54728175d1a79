"""The template in examples/plugin works by import path and by entry point, if allowed."""

import subprocess
import sys
from importlib import metadata

import pytest
from conftest import ROOT

from lookalike import build
from lookalike.errors import ConfigError

PLUGIN = ROOT / "examples" / "plugin"
BY_PATH = {"name": "lookalike_sphere.heads:SphereHead", "embedding_size": 4, "num_classes": 3}
BY_NAME = {"name": "SphereHead", "embedding_size": 4, "num_classes": 3}


@pytest.fixture
def importable(monkeypatch):
    monkeypatch.syspath_prepend(str(PLUGIN / "src"))


@pytest.fixture
def installed(importable, monkeypatch):
    point = metadata.EntryPoint(
        "SphereHead", "lookalike_sphere.heads:SphereHead", "lookalike.heads"
    )
    monkeypatch.setattr(
        metadata, "entry_points", lambda group: [point] if group == "lookalike.heads" else []
    )


def test_import_path_needs_permission(importable):
    with pytest.raises(ConfigError, match="--allow-import lookalike_sphere"):
        build("head", BY_PATH)
    head = build("head", BY_PATH, allow_import=["lookalike_sphere"])
    assert type(head).__name__ == "SphereHead"


def test_entry_point_needs_permission_too(installed):
    with pytest.raises(ConfigError, match="--allow-import lookalike_sphere"):
        build("head", BY_NAME)
    assert build("head", BY_NAME, allow_import=["lookalike_sphere"]).num_classes == 3


def test_its_arguments_are_checked(importable):
    with pytest.raises(ConfigError, match="Did you mean 'margin'"):
        build("head", {**BY_PATH, "margn": 3}, allow_import=["lookalike_sphere"])


def test_a_taken_name_is_an_error_that_names_both(monkeypatch):
    points = [
        metadata.EntryPoint("ArcMargin", "somebody.heads:ArcMargin", "lookalike.heads"),
    ]
    monkeypatch.setattr(metadata, "entry_points", lambda group: points)
    with pytest.raises(ConfigError, match="two packages offer the head 'ArcMargin'.*somebody"):
        build("head", {"name": "Another", "embedding_size": 4})


def test_its_own_tests_pass():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--rootdir", PLUGIN, PLUGIN / "tests"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(PLUGIN / "src"), "PATH": "", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout


def test_a_run_trains_saves_and_resumes_with_it(tiny, importable, lookalike):
    options = [
        "-c", tiny / "run.yaml", "--allow-import", "lookalike_sphere",
        "-o", "Arch.Head={name: 'lookalike_sphere.heads:SphereHead', embedding_size: 16, "
        "num_classes: 6}",
    ]  # fmt: skip
    env = {"PYTHONPATH": str(PLUGIN / "src")}
    done = lookalike("train", *options, "-o", "Global.epochs=1", env=env)
    assert done.returncode == 0, done.stderr
    again = lookalike("train", *options, "--resume", env=env)
    assert again.returncode == 0, again.stderr
    assert "Resuming" in again.stdout
