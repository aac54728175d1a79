"""A used run folder is not overwritten unasked, and no two runs are in one."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from conftest import TINY_YAML, make_images, write_list
from same_run import same
from typer.testing import CliRunner

from lookalike.cli.main import app
from lookalike.training import load_checkpoint
from lookalike.training.intact import is_intact
from lookalike.training.run_folder import only_run

QUICK = ("Global.epochs=1", "Global.eval_during_train=False")


def train(root, *options, code=0, overrides=QUICK):
    arguments = ["train", "-c", str(root / "run.yaml"), *options]
    for override in overrides:
        arguments += ["-o", override]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("finished")
    write_list(root / "train.txt", make_images(root))
    (root / "run.yaml").write_text(TINY_YAML.format(root=root))
    train(root, overrides=["Global.epochs=3"])
    return root


@pytest.fixture
def done(finished, tiny):
    """The tiny folder with a finished run of three epochs in it."""
    shutil.copytree(finished / "output", tiny / "output", symlinks=True)
    return tiny


def content(folder):
    """Return the bytes of all files."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def seeds(folder):
    manifests = folder.glob("*/manifest.json")
    return {path.parent.name: json.loads(path.read_text())["seed"] for path in manifests}


def kinds(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    found = [one for one in map(json.loads, lines) if one["kind"] in ("train", "eval")]
    return [(one["kind"], one["step"]) for one in found]


def test_the_same_command_again_is_refused_and_changes_nothing(done):
    before = content(done / "output")
    output = train(done, code=2)
    assert "run.yaml:2:" in output, "the line of output_dir"
    assert "holds a run of epoch 3, iteration 9 (" in output
    for offered in ("--resume", "--overwrite", "Global.output_dir="):
        assert offered in output
    assert content(done / "output") == before


@pytest.mark.parametrize("left", ["best_model", "epoch_2", "latest.damaged", "best_model_ema"])
def test_any_checkpoint_is_a_run(done, left):
    kept = done / left
    (done / "output" / "best_model").rename(kept)
    shutil.rmtree(done / "output")
    (done / "output").mkdir()
    kept.rename(done / "output" / left)
    assert left in train(done, code=2)
    if left in ("best_model_ema", "latest.damaged"):
        assert left in train(done, "--resume-or-start", code=2)


def test_overwrite_replaces_the_whole_run_and_nothing_else(done):
    folder = done / "output"
    (folder / "query.npz").write_text("mine")
    (folder / "eval.log").write_text("of another command")
    for name in ("diverged.json", "hang_process_0.txt", "quarantine.tsv"):
        (folder / name).write_text("of the old run")
    shutil.copytree(folder / "latest", folder / "latest.damaged")
    train(done, "--overwrite", overrides=[*QUICK, "Global.seed=9"])
    assert seeds(folder) == {"latest": 9, "epoch_1": 9}
    assert kinds(folder) == [("train", 1), ("train", 2), ("train", 3)]
    assert (folder / "train.log").read_text().count("Training on 24 images") == 1
    assert {p.name for p in folder.iterdir()} == {
        "latest", "epoch_1", "metrics.jsonl", "train.log", "resolved.yaml", "query.npz", "eval.log"
    }  # fmt: skip
    assert "seed: 9" in (folder / "resolved.yaml").read_text()


@pytest.mark.parametrize(
    "override",
    [
        "Optimizer.momentum=-1",
        "Arch.Neck.out_channels=8",
        "DataLoader.Train.dataset.cls_label_path=nowhere.txt",
        "Global.pretrained_model=nowhere",
    ],
)
def test_overwrite_removes_nothing_for_a_run_that_cannot_be_built(done, override):
    before = content(done / "output")
    arguments = ["train", "-c", str(done / "run.yaml"), "--overwrite", "-o", override]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code in (2, 3, 4, 6), result.output
    after = content(done / "output")
    after["train.log"] = after["train.log"][: len(before["train.log"])]  # why it was refused
    assert after == before


def test_overwrite_does_not_go_with_resume(done):
    before = content(done / "output")
    for option in ("--resume", "--resume-or-start"):
        assert "--overwrite" in train(done, "--overwrite", option, code=2)
    assert content(done / "output") == before


def test_a_run_without_checkpoints_is_started_anew_and_its_logs_are_kept(tiny):
    (tiny / "output").mkdir()
    (tiny / "output" / "train.log").write_text("first try\n")
    (tiny / "output" / "metrics.jsonl").write_text('{"kind": "train", "step": 1}\n')
    output = train(tiny)
    assert "an earlier run has left no checkpoint here" in output
    assert (tiny / "output" / "train.log.old").read_text() == "first try\n"
    assert kinds(tiny / "output") == [("train", 1), ("train", 2), ("train", 3)]


def test_what_other_commands_have_written_is_no_run(tiny):
    (tiny / "output").mkdir()
    (tiny / "output" / "eval.log").write_text("zero-shot\n")
    (tiny / "output" / "metrics.jsonl").write_text('{"kind": "eval", "step": 0}\n')
    train(tiny)
    assert kinds(tiny / "output")[:2] == [("eval", 0), ("train", 1)]


def test_a_checkpoint_of_elsewhere_is_not_gone_on_with_in_a_used_folder(done):
    source = f"Global.checkpoints={done / 'output' / 'epoch_1'}"
    elsewhere = f"Global.output_dir={done / 'other'}"
    train(done, overrides=[elsewhere, source, "Global.epochs=2"])
    assert "holds a run of epoch 2" in train(
        done, code=2, overrides=[elsewhere, source, "Global.epochs=2"]
    )
    output = train(
        done, "--resume-or-start", overrides=[elsewhere, source, "Global.epochs=3"]
    )  # as a scheduler repeats it
    assert "not from Global.checkpoints again" in output
    assert f"Resuming {done / 'other' / 'latest'} after epoch 2" in output


def test_going_back_within_a_run_gives_up_what_came_after_only_if_asked(done):
    folder = done / "output"
    back = [f"Global.checkpoints={folder / 'epoch_1'}", "Global.epochs=2", "Global.seed=9"]
    before = content(folder)
    output = train(done, code=2, overrides=back)
    assert "holds checkpoints that were saved after" in output and "epoch_2" in output
    assert content(folder) == before
    train(done, "--overwrite", overrides=back)
    assert seeds(folder)["epoch_1"] == 7
    assert {name for name, seed in seeds(folder).items() if seed == 9} >= {"latest", "epoch_2"}
    assert not (folder / "epoch_3").exists()


def test_from_the_newest_checkpoint_of_the_folder_nothing_is_given_up(done):
    source = f"Global.checkpoints={done / 'output' / 'latest'}"
    output = train(done, overrides=[source, "Global.epochs=4"])
    assert "after epoch 3" in output and "[Epoch 4/4]" in output


def damage(folder):
    path = folder / "model.safetensors"
    data = path.read_bytes()
    path.unlink()  # hard links keep theirs
    path.write_bytes(data[:-1])


def of_another_run(folder):
    """Give a checkpoint the identity that one of another run has."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest.update(run="another", format=1)
    path.unlink()
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("manifest_too", [False, True])
def test_a_damaged_latest_never_leads_to_another_run(done, manifest_too):
    folder = done / "output"
    for name in ("epoch_2", "epoch_3", "best_model"):
        of_another_run(folder / name)
    shutil.rmtree(folder / ".latest.previous")
    damage(folder / "latest")
    if manifest_too:
        (folder / "latest" / "manifest.json").unlink()
        assert "may be of another run" in train(done, "--resume", code=6)
        assert (folder / "latest").exists()
        return
    output = train(done, "--resume", overrides=["Global.epochs=3"])
    assert "Going on from epoch_1, saved at iteration 3" in output


def test_checkpoints_of_a_version_that_named_no_run_are_told_apart_by_their_seed(done):
    folder = done / "output"
    for name in ("latest", "epoch_1", "epoch_2", "epoch_3", "best_model"):
        path = folder / name / "manifest.json"
        manifest = json.loads(path.read_text())
        del manifest["run"]
        manifest.update(seed=9 if name == "latest" else 7, format=1)
        path.unlink()
        path.write_text(json.dumps(manifest))
    shutil.rmtree(folder / ".latest.previous")
    damage(folder / "latest")
    assert "may be of another run" in train(done, "--resume", code=6)


def test_a_second_run_in_the_folder_is_refused_and_told_of_the_first(tiny, finished):
    def of_other(options, code):
        arguments = [sys.executable, "-c", HOLD, str(tiny / "output")]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as first:
            assert first.stdout.readline() == "held\n"
            output = train(tiny, *options, code=code)
            first.kill()  # and its lock with it
        return output, first.pid

    for options in ([], ["--overwrite"], ["--resume-or-start"]):
        output, pid = of_other(options, 4)
        found = re.search(r"another run is training there: process (\d+) on (\S+), since", output)
        assert found, output
        assert (int(found[1]), found[2]) == (pid, os.uname().nodename)
        assert {p.name for p in (tiny / "output").iterdir()} == {".lock"}
    train(tiny)
    assert is_intact(tiny / "output" / "latest")
    assert not (tiny / "output" / ".lock").exists()


HOLD = """
import sys, time
from pathlib import Path
from lookalike.training.run_folder import only_run
with only_run(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_is_not_held_by_a_process_that_reads_images(tmp_path):
    """It may outlive a run that was killed by some seconds."""
    with only_run(tmp_path / "run"):
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
    try:
        with only_run(tmp_path / "run"):
            assert (tmp_path / "run" / ".lock").read_text().startswith(f"process {os.getpid()} on ")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert not (tmp_path / "run").exists(), "nothing was written"


def test_two_in_turn_equal_one(done, finished):
    """Refused in between, a run goes on as if nobody had asked."""
    train(done, code=2)
    train(done, "--resume", overrides=["Global.epochs=3"])
    assert same(finished / "output", done / "output")
    assert load_checkpoint(done / "output").state["iteration"] == 9
