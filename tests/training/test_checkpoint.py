"""Checkpoints are whole or absent, and damage is noticed."""

import contextlib
import json
import os
import shutil

import pytest
import torch

from lookalike.errors import CheckpointError, SetupError
from lookalike.training import checkpoint as module
from lookalike.training.checkpoint import (
    MANIFEST,
    MODEL_FILE,
    STATE_FILE,
    copy_checkpoint,
    load_checkpoint,
    save_checkpoint,
)


def save(folder, value):
    save_checkpoint(
        folder,
        model={"w": torch.full((4,), float(value))},
        state={"step": value, "nested": [torch.tensor([value]), None, "x"]},
        facts={"epoch": value},
    )


def test_round_trip(tmp_path):
    save(tmp_path / "latest", 3)
    loaded = load_checkpoint(tmp_path / "latest")
    assert loaded.model["w"].tolist() == [3.0] * 4
    assert loaded.state["nested"][0].item() == 3
    assert loaded.facts["epoch"] == 3
    assert load_checkpoint(tmp_path).facts["epoch"] == 3  # the run folder means its latest


@pytest.mark.parametrize("file", [MODEL_FILE, STATE_FILE, MANIFEST])
@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "remove"])
def test_every_damage_is_noticed_and_an_intact_one_offered(tmp_path, file, damage):
    save(tmp_path / "epoch_1", 1)
    save(tmp_path / "latest", 2)
    path = tmp_path / "latest" / file
    data = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    elif damage == "flip":
        data[len(data) // 2] ^= 0x40
        path.write_bytes(data)
    else:
        path.write_bytes(data[: len(data) // 2 if damage == "truncate" else 0])
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "latest")
    if file != MANIFEST:
        assert "epoch_1" in str(caught.value)


def test_a_kill_at_any_step_of_a_write_leaves_one_whole_checkpoint(tmp_path, monkeypatch):
    """Stop before every system call of a write in turn, as a power switch would."""

    class PowerOff(BaseException):
        pass

    calls = {"limit": None, "count": 0}

    def interrupting(function):
        def call(*args, **kwargs):
            calls["count"] += 1
            if calls["limit"] is not None and calls["count"] > calls["limit"]:
                raise PowerOff
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(module, "save_file", interrupting(module.save_file))
    monkeypatch.setattr(module.torch, "save", interrupting(torch.save))
    monkeypatch.setattr(module.os, "fsync", interrupting(os.fsync))
    monkeypatch.setattr(module.Path, "rename", interrupting(module.Path.rename))
    monkeypatch.setattr(module.Path, "mkdir", interrupting(module.Path.mkdir))
    monkeypatch.setattr(module.Path, "write_text", interrupting(module.Path.write_text))
    monkeypatch.setattr(module.shutil, "rmtree", interrupting(shutil.rmtree))
    save(tmp_path / "probe", 1)
    save(tmp_path / "probe", 2)
    steps = calls["count"]
    seen = set()
    for limit in range(steps):
        folder = tmp_path / f"run{limit}" / "latest"
        calls.update(limit=None)
        save(folder, 1)
        calls.update(limit=limit, count=0)
        with contextlib.suppress(PowerOff):
            save(folder, 2)
        calls.update(limit=None)
        found = load_checkpoint(folder).facts["epoch"]
        seen.add(found)
        save(folder, 3)  # and the next run is not disturbed by what was left behind
        assert load_checkpoint(folder).facts["epoch"] == 3
    assert seen == {1, 2}
    assert steps > 10


def test_a_copy_is_independent_of_what_happens_to_the_original(tmp_path):
    save(tmp_path / "latest", 1)
    copy_checkpoint(tmp_path / "latest", tmp_path / "epoch_1")
    save(tmp_path / "latest", 2)
    assert load_checkpoint(tmp_path / "epoch_1").facts["epoch"] == 1


def test_an_unwritable_folder_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SetupError, match="could not be written"):
        save(tmp_path / "file" / "latest", 1)


def test_nothing_there_names_what_is_near(tmp_path):
    save(tmp_path / "epoch_4", 4)
    with pytest.raises(CheckpointError, match="Checkpoints nearby: epoch_4"):
        load_checkpoint(tmp_path / "latest")


def test_a_manifest_cannot_point_outside(tmp_path):
    save(tmp_path / "latest", 1)
    path = tmp_path / "latest" / MANIFEST
    manifest = json.loads(path.read_text())
    manifest["files"]["../../etc/passwd"] = {"bytes": 1, "sha256": "0"}
    path.write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "latest")
