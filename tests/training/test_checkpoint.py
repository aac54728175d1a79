"""Checkpoints are whole or absent, and damage is noticed."""

import json
import os
import re
import resource
import shutil
import subprocess
import warnings
import zipfile

import numpy as np
import pytest
import torch

from lookalike.durable import file_sha256
from lookalike.errors import CheckpointError, SetupError
from lookalike.faults import Fault, InjectedFault, watching
from lookalike.training.checkpoint import (
    MANIFEST,
    MODEL_FILE,
    STATE_FILE,
    copy_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from lookalike.training.evaluated import add_evaluation
from lookalike.training.intact import (
    find_checkpoint,
    is_intact,
    keep_last,
    newest_intact,
    sweep,
    verify_checkpoint,
)


def save(folder, value, *, more=None, **options):
    save_checkpoint(
        folder,
        model={"w": torch.full((4,), float(value))},
        state={"step": value, "nested": [torch.tensor([value]), None, "x"], **(more or {})},
        facts={"epoch": value, "iteration": value},
        **options,
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


def change(folder, value):
    """Do all a run does with its checkpoints: save, add the evaluation, keep two and the best."""
    schedules = {"optimizers": [{"schedule": {"best": value - 1}}]}
    due = {"evaluation_due": True, "update": schedules}
    save(folder / "latest", value, keep_previous=True, more=due)
    changed = {"optimizers": [{"schedule": {"best": value}}]}
    add_evaluation(
        folder / "latest",
        state={"step": value, "metric": value, "update": changed},
        facts={"metrics": {"recall1": value}},
        documents={"README.md": f"{value}"},
    )
    copy_checkpoint(folder / "latest", folder / f"epoch_{value}")
    keep_last(folder, value, 2)
    copy_checkpoint(folder / "latest", folder / "best_model")


def points_of_a_change(folder):
    """Return the fault points of a change of a folder that has seen some."""
    passed = []
    for value in (1, 2, 3):
        change(folder, value)
    with watching(passed.append):
        change(folder, 4)
    return passed


def started(folder):
    for value in (1, 2, 3):
        change(folder, value)
    return folder


def with_fault(folder, fault, value=4):
    """Change a folder with a fault; return an exit code, that of the signal if it was killed."""
    try:
        with watching(Fault(fault)):
            change(folder, value)
    except SetupError:
        return 4
    except InjectedFault:
        return 70
    return 0


def killed(folder, fault):
    """Do it in a process of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        with_fault(folder, fault)
    finally:
        os._exit(1)


def test_all_steps_of_a_change_are_points(tmp_path):
    passed = points_of_a_change(tmp_path)
    assert len(passed) > 30
    kinds = {"write_model", "write", "sync", "link", "rename", "remove"}
    assert {f"checkpoint.{kind}" for kind in kinds} <= set(passed)


@pytest.mark.parametrize(("action", "code"), [("kill", -9), ("raise", 70), ("enospc", 4)])
def test_a_fault_at_every_point_leaves_whole_checkpoints(tmp_path, monkeypatch, action, code):
    """Every point of every write: what has a name is whole, and the next run is not disturbed."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # the machine stays on: no need
    number = len(points_of_a_change(tmp_path / "probe"))
    seen, evaluated = set(), set()
    origin = started(tmp_path / "origin")
    for nth in range(1, number + 1):
        folder = tmp_path / str(nth)
        shutil.copytree(origin, folder)
        # hard links that copytree has parted are of no importance here
        ended = (killed if action == "kill" else with_fault)(folder, f"*:{nth}:{action}")
        # links that fail are copies
        assert ended in ((code, 0) if action == "enospc" else (code,)), nth
        for name in ("latest", "best_model"):
            found = folder / name
            if not found.exists():
                assert action == "kill"
                found = find_checkpoint(found)
            loaded = load_checkpoint(found)
            seen.add(loaded.facts["epoch"])
            evaluated.add(is_evaluated(loaded, due=name == "latest"))
        for kept in folder.glob("epoch_*"):
            load_checkpoint(kept)
        assert newest_intact(folder)[1] == []
        sweep(folder)
        hidden = {path.name for path in folder.glob(".*")}
        assert hidden <= {".latest.previous"}, nth
        change(folder, 5)
        assert {p.name for p in folder.glob("epoch_*")} <= {"epoch_3", "epoch_4", "epoch_5"}
        assert load_checkpoint(folder / "best_model").facts["epoch"] == 5
        shutil.rmtree(folder)
    assert seen == {3, 4}
    assert evaluated == {True, False}


def is_evaluated(found, *, due):
    """Tell whether a checkpoint is one after an evaluation; it may be half of none."""
    value = found.facts["epoch"]
    schedule = found.state["update"]["optimizers"][0]["schedule"]["best"]
    if "evaluation_due" in found.state:
        assert due
        assert (schedule, "metric" in found.state) == (value - 1, False)
        return False
    assert (schedule, found.state["metric"]) == (value, value)
    assert found.facts["metrics"] == {"recall1": value}
    return True


def test_a_copy_is_independent_of_what_happens_to_the_original(tmp_path):
    save(tmp_path / "latest", 1)
    copy_checkpoint(tmp_path / "latest", tmp_path / "epoch_1")
    save(tmp_path / "latest", 2)
    assert load_checkpoint(tmp_path / "epoch_1").facts["epoch"] == 1


def test_an_unwritable_folder_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SetupError, match="could not be written"):
        save(tmp_path / "file" / "latest", 1)


@pytest.mark.parametrize("error", ["enospc", "erofs", "eacces", "estale", "eio"])
def test_what_the_system_refuses_is_told_with_path_and_room(tmp_path, error):
    save(tmp_path / "latest", 1)
    with pytest.raises(SetupError) as caught, watching(Fault(f"checkpoint.sync:2:{error}")):
        save(tmp_path / "latest", 2)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/latest: the checkpoint could not be written (")
    room = re.search(r"about ([\d,]+) bytes are needed; ([\d,]+) bytes are free there", message)
    assert (room is not None) == (error == "enospc")
    assert room is None or room[1] == "24"
    assert load_checkpoint(tmp_path).facts["epoch"] == 1
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(("model", "state"), [(50_000, 1), (1, 50_000)])
def test_a_disk_that_is_full_in_the_middle_of_a_file_is_no_bug_of_torch(tmp_path, model, state):
    """The system ends a file at 100 kB; both writers of tensors hide what it said."""
    parts = {"model": {"w": torch.ones(model)}, "state": {"x": torch.ones(state)}, "facts": {}}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(SetupError, match="File too large; about 200,004 bytes are needed"):
            save_checkpoint(tmp_path / "latest", **parts)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def small_disk(folder, size="300k"):
    """Mount a small file system, or skip."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")


def test_a_small_disk_that_is_full(tmp_path):
    small_disk(tmp_path / "disk")
    try:
        save(tmp_path / "disk" / "latest", 1)
        with pytest.raises(SetupError, match=r"No space left on device; about 400,0\d\d bytes"):
            save_checkpoint(
                tmp_path / "disk" / "latest", model={"w": torch.ones(100_000)}, state={}, facts={}
            )
        assert load_checkpoint(tmp_path / "disk").facts["epoch"] == 1
        save(tmp_path / "disk" / "latest", 2)
    finally:
        subprocess.run(["umount", str(tmp_path / "disk")], check=True)


def test_a_folder_that_has_vanished_is_made_again(tmp_path):
    save(tmp_path / "run" / "latest", 1)
    shutil.rmtree(tmp_path / "run")
    save(tmp_path / "run" / "latest", 2)
    assert load_checkpoint(tmp_path / "run").facts["epoch"] == 2


def mutate(folder, rng):
    """Damage a checkpoint in one random way; return how."""
    name = str(rng.choice([MODEL_FILE, STATE_FILE, MANIFEST]))
    path, way = folder / name, str(rng.choice(["truncate", "zero", "flip", "remove", "swap"]))
    data = bytearray(path.read_bytes())
    place = int(rng.integers(len(data)))
    if way == "truncate":
        path.write_bytes(data[:place])
    elif way == "zero":
        end = min(len(data), place + int(rng.integers(1, 4097)))
        if not any(data[place:end]):
            return mutate(folder, rng)
        data[place:end] = bytes(end - place)
        path.write_bytes(data)
    elif way == "flip":
        data[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
    elif way == "remove":
        path.unlink()
    else:
        shutil.copy(folder.with_name("other") / name, path)
    return f"{way} {name} at {place}"


def test_three_hundred_random_damages_are_all_noticed(tmp_path):
    rng = np.random.default_rng(0)
    save(tmp_path / "other", 1)
    save(tmp_path / "whole", 2)
    for _ in range(300):
        shutil.copytree(tmp_path / "whole", tmp_path / "latest")
        how = mutate(tmp_path / "latest", rng)
        assert not is_intact(tmp_path / "latest"), how
        with pytest.raises(CheckpointError):
            verify_checkpoint(tmp_path / "latest")
        shutil.rmtree(tmp_path / "latest")
    assert is_intact(tmp_path / "whole")


def test_the_one_before_takes_the_place_of_a_damaged_one(tmp_path):
    for value in (1, 2, 3):
        change(tmp_path, value)
    damage(tmp_path / "latest" / STATE_FILE)  # and with it its hard links, epoch_3 and best_model
    chosen, (warning,) = newest_intact(tmp_path)
    assert chosen == tmp_path / "latest"
    assert load_checkpoint(chosen).facts["epoch"] == 2
    assert "damaged" in warning and "the one before it, saved at iteration 2" in warning
    assert not is_intact(tmp_path / "latest.damaged")
    assert newest_intact(tmp_path) == (chosen, [])


def test_a_kept_epoch_is_gone_on_from_where_both_are_damaged(tmp_path):
    for value in (1, 2, 3):
        change(tmp_path, value)
    save(tmp_path / "latest", 4, keep_previous=True)  # of an epoch that is not over
    damage(tmp_path / "latest" / STATE_FILE)
    shutil.rmtree(tmp_path / ".latest.previous")
    chosen, (warning,) = newest_intact(tmp_path)
    assert load_checkpoint(chosen).facts["epoch"] == 3
    assert f"Going on from {chosen.name}, saved at iteration 3" in warning


def test_where_nothing_is_intact_it_is_told(tmp_path):
    save(tmp_path / "latest", 1)
    damage(tmp_path / "latest" / MODEL_FILE)
    with pytest.raises(CheckpointError, match="No intact checkpoint"):
        newest_intact(tmp_path)
    assert (tmp_path / "latest").is_dir()


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_checkpoints_without_a_hash_of_the_manifest_are_still_read(tmp_path):
    save(tmp_path / "latest", 1)
    path = tmp_path / "latest" / MANIFEST
    manifest = {**json.loads(path.read_text()), "format": 1}
    del manifest["sha256"]
    path.write_text(json.dumps(manifest, indent=1))
    assert load_checkpoint(tmp_path).facts["epoch"] == 1


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


@pytest.mark.parametrize("text", ["[" * 100_000, " " * 17_000_000 + "{}"])
def test_a_manifest_that_is_made_to_deceive(tmp_path, text):
    save(tmp_path / "latest", 1)
    (tmp_path / "latest" / MANIFEST).write_text(text)
    with pytest.raises(CheckpointError, match="manifest"):
        load_checkpoint(tmp_path / "latest")


def test_a_copy_takes_nothing_from_outside(tmp_path):
    save(tmp_path / "latest", 1)
    (tmp_path / "secret").write_text("mine")
    old_manifest(tmp_path / "latest", lambda manifest: manifest["documents"].append("../secret"))
    with pytest.raises(CheckpointError, match="outside its folder"):
        copy_checkpoint(tmp_path / "latest", tmp_path / "copies" / "epoch_1")
    assert not (tmp_path / "copies" / "secret").exists()


def test_a_state_that_would_fill_the_memory_is_not_unpacked(tmp_path):
    save(tmp_path / "latest", 1)
    path = tmp_path / "latest" / STATE_FILE
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(100_000_000))
    digest = file_sha256(path)
    old_manifest(tmp_path / "latest", lambda m: m["files"][STATE_FILE].update(sha256=digest))
    with pytest.raises(CheckpointError, match="Unfolds"):
        load_checkpoint(tmp_path / "latest")


def old_manifest(folder, change):
    """Change a manifest of the first format, which has no hash of its own."""
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["format"] = 1
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))
