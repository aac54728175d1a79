"""``lookalike list`` and the other small commands."""

import pytest
from typer.testing import CliRunner

from lookalike import __version__
from lookalike.assembly.catalog import CATALOG
from lookalike.cli.list_components import plural
from lookalike.cli.main import app


def run(*args):
    return CliRunner().invoke(app, list(args), env={"COLUMNS": "80"})


@pytest.mark.parametrize("kind", CATALOG)
def test_every_component_is_listed_in_full(kind):
    done = run("list", plural(kind))
    assert done.exit_code == 0, done.output
    for name in CATALOG[kind]:
        assert name in done.output


def test_the_reference_names_are_listed():
    done = run("list", "losses")
    assert "CELoss" in done.output
    assert "SupConLoss" in done.output


def test_kinds_are_listed_and_misspelt_ones_corrected(capsys):
    assert "backbones" in run("list").output
    done = run("list", "lossses")
    assert done.exit_code == 2


def test_version():
    assert run("version").output.strip() == __version__


def test_sources_and_licences_of_weights(monkeypatch, tmp_path):
    (tmp_path / "PPLCNet_x1_0.pdparams").write_bytes(b"x")
    monkeypatch.setenv("LOOKALIKE_WEIGHTS", str(tmp_path))
    done = CliRunner().invoke(app, ["list", "backbones", "--weights"], env={"COLUMNS": "160"})
    assert done.exit_code == 0, done.output
    rows = {line.split()[0]: " ".join(line.split()) for line in done.output.splitlines()}
    assert rows["tf_efficientnet_lite0"].endswith("yes Apache-2.0")
    assert rows["ResNet50"] == "ResNet50 torchvision resnet50 IMAGENET1K_V1 no not stated"
    assert rows["ResNet50_vd"].endswith("timm resnet50d no apache-2.0")
    assert rows["MobileNetV1"].split()[1:3] == ["none", "known"]
    assert "PPLCNet_x1_0.pdparams" in rows["PPLCNet_x1_0"]
    assert "yes not stated" in rows["PPLCNet_x1_0"]
    assert run("list", "heads", "--weights").exit_code == 2
