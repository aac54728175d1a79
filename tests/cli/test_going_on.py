"""``--resume``: what it goes on from, what it says has changed, and when there is nothing to do."""

import json
import re
import shutil

import pytest
from conftest import TINY_YAML, make_images, write_list
from typer.testing import CliRunner

from lookalike.cli.main import app
from lookalike.faults import Fault, watching


def train(root, *options, code=0, overrides=()):
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
    train(root)
    return root


@pytest.fixture
def done(finished, tiny):
    """The tiny folder with a finished run in it."""
    shutil.copytree(finished / "output", tiny / "output")
    return tiny


def notes(output):
    # the run's own folder differs from that of the run it was copied from
    lines = [line.partition("note: ")[2] for line in output.splitlines() if "note: " in line]
    return [line for line in lines if "image_root" not in line and "label_path" not in line]


def test_a_finished_run_says_so_and_exits_with_0(done):
    output = train(done, "--resume")
    assert "All epochs are done already" in output
    assert notes(output) == []
    assert "[Iter:" not in output


def test_what_has_changed_is_said(done):
    lines = (done / "train.txt").read_text().splitlines(keepends=True)
    (done / "train.txt").write_text("".join([lines[1], lines[0], *lines[2:]]))
    path = done / "output" / "latest" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["versions"]["torch"] = "2.0.1"
    manifest["format"] = 1  # whose manifests may be edited
    path.write_text(json.dumps(manifest))
    output = train(
        done, "--resume",
        overrides=["Global.epochs=3", "Optimizer.momentum=0.8", "Global.print_batch_step=2"],
    )  # fmt: skip
    found = notes(output)
    assert any("the Train list has changed" in note for note in found)
    assert any(note.startswith("torch was '2.0.1'") for note in found)
    assert "Optimizer.momentum was 0.9 when the checkpoint was saved and is 0.8 now." in found
    assert any(note.startswith("Global.epochs was 2") for note in found)
    assert any("the Query list has changed" in note for note in found)
    assert len(found) == 6, found
    assert "[Epoch 3/3]" in output


def test_a_damaged_latest_is_told_and_the_one_before_used(done):
    for name in ("latest", "epoch_2", "best_model"):  # one file, until the folder was copied
        path = done / "output" / name / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-1])
    output = train(done, "--resume")
    assert "WARNING" in output and "damaged" in output
    assert "Going on from the one before it, saved at iteration 3" in output
    assert f"Resuming {done}/output/latest after epoch 1, iteration 0" in output
    assert "[Epoch 2/2]" in output
    assert "WARNING" not in train(done, "--resume")


def test_what_a_kill_has_left_is_removed_and_told(done):
    (done / "output" / ".latest.writing").mkdir()
    (done / "output" / ".epoch_1.removing").mkdir()
    output = train(done, "--resume")
    assert sum("half written" in note for note in notes(output)) == 2
    assert {p.name for p in (done / "output").glob(".*")} == {".latest.previous"}


def test_a_kill_between_the_two_renames_of_a_save_is_put_right(done):
    folder = done / "output"
    shutil.rmtree(folder / ".latest.previous")
    (folder / "latest").rename(folder / ".latest.previous")
    (folder / ".latest.writing").mkdir()
    output = train(done, "--resume")
    assert f"Resuming {folder}/latest after epoch 2" in output
    assert "WARNING" not in output


def test_a_run_on_a_full_disk_ends_and_goes_on_when_there_is_room(tiny):
    with watching(Fault("checkpoint.write_model:2+:enospc")):  # in the second save
        output = train(tiny, code=4)
    assert re.search(
        r"latest: the checkpoint could not be written \(No space left on device; about [\d,]+ "
        r"bytes are needed; [\d,]+ bytes are free there\). What was saved before is intact.",
        output,
    )
    assert not list((tiny / "output").glob(".*.writing"))
    output = train(tiny, "--resume")
    assert "after epoch 1" in output and "[Epoch 2/2]" in output


def test_one_command_starts_and_goes_on(tiny):
    output = train(tiny, "--resume-or-start", overrides=["Global.epochs=1"])
    assert "Resuming" not in output and "[Epoch 1/1]" in output
    output = train(tiny, "--resume-or-start")
    assert "after epoch 1" in output and "[Epoch 2/2]" in output


def test_it_does_not_start_over_what_is_damaged(done):
    for path in (done / "output").glob("*/manifest.json"):
        path.write_text("{")
    train(done, "--resume-or-start", code=6)
