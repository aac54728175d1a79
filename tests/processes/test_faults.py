"""What becomes of a run in several processes when something happens to one of them."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import TINY_YAML, make_images, trainer_of, write_list
from launched import Launched, command_of
from process_group import run
from test_training import largest_difference, train

import lookalike
from lookalike.data.transforms.kernels import compiled
from lookalike.errors import Interrupted, ProcessError
from lookalike.training import load_checkpoint

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
SHORT = ["Global.epochs=2", "+Global.iter_per_epoch=3", "+Global.save_steps=1"]


@pytest.fixture
def images(tmp_path):
    write_list(tmp_path / "train.txt", make_images(tmp_path, num_labels=12))
    text = TINY_YAML.format(root=tmp_path).replace("class_num: 6", "class_num: 12")
    (tmp_path / "run.yaml").write_text(text)
    # what processes are forked with need not be imported and compiled in each
    compiled()
    trainer_of(tmp_path)
    return tmp_path


@pytest.fixture
def start(images):
    """Start the command; what is left of it at the end of a test is killed."""
    started = []

    def launch(*overrides, number=2, options=(), launcher=None, **environment):
        command = command_of(images, *SHORT, *overrides, number=number, options=options)
        command = command if launcher is None else [*launcher, *command[1:]]
        started.append(Launched(command, images, **environment))
        return started[-1]

    yield launch
    for one in started:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_killed_process_is_told_once_and_restarts_go_on_to_the_same_bits(start, images):
    """Killed in a step with a restart left, then in an evaluation with none; then resumed."""
    code, text = start(
        options=["--restarts", 1], FAULT_OF_1="place.computing:3:kill;place.evaluating:1:kill"
    ).end()
    assert code == 8, text
    assert "started again after a process had failed, 1 of 1 times" in text
    assert text.count("error:") == 1
    assert "process 1 of 2 was ended by signal 9" in text
    assert "Traceback" not in text
    run(in_two, 2, images, [], {}, True, joined=False)
    run(uninterrupted, 2, images, joined=False)
    killed, whole = load_checkpoint(images / "output"), load_checkpoint(images / "whole")
    assert largest_difference(killed, whole) == 0.0
    assert killed.state["averages"] == whole.state["averages"]


def uninterrupted(root, *more):
    changes = [*SHORT, *more, f"Global.output_dir={root / 'whole'}"]
    train(str(root / "run.yaml"), changes)


def in_two(root, overrides, faults, options=None):
    """Train in this process of several with its own fault; return how it ended."""
    from lookalike.faults import Fault, watching

    rank = int(os.environ["RANK"])
    fault = Fault(faults[rank]) if rank in faults else lambda name: None
    try:
        with watching(fault):
            train(str(root / "run.yaml"), [*SHORT, *overrides], resume=bool(options))
    except (ProcessError, Interrupted) as error:
        return type(error).__name__, error.exit_code, error.told, str(error)
    return None


def test_one_that_fails_is_no_traceback_in_the_others(images):
    def failing(root):
        if os.environ["RANK"] == "1":
            os.environ["LOOKALIKE_FAULT"] = ""
            with pytest.raises(Exception, match="place.computing"):
                in_two(root, [], {1: "place.computing:2:raise"})
            return None
        return in_two(root, [], {})

    name, code, _, text = run(failing, 2, images, joined=False)[0]
    assert (name, code) == ("ProcessError", 8)
    assert "another process of the run has gone" in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_one_stops_all_and_the_run_goes_on_exactly(images, number):
    def stopped(root):
        from lookalike.faults import watching

        passed = []

        def signalling(name):
            passed.append(name)
            second = name == "place.computing" and passed.count(name) == 2
            if os.environ["RANK"] == "1" and second:
                os.kill(os.getpid(), number)

        try:
            with watching(signalling):
                train(str(root / "run.yaml"), SHORT)
        except Interrupted as event:
            return event.exit_code, event.told, str(event)
        return None

    found = run(stopped, 2, images, joined=False)
    assert [code for code, _, _ in found] == [75 if number == signal.SIGTERM else 130] * 2
    assert sorted(told for _, told, _ in found) == [False, True]
    assert "everything is saved" in found[0][2]
    assert load_checkpoint(images / "output").state["iteration"] == 2
    run(in_two, 2, images, [], {}, True, joined=False)
    run(uninterrupted, 2, images, joined=False)
    resumed, whole = load_checkpoint(images / "output"), load_checkpoint(images / "whole")
    assert largest_difference(resumed, whole) == 0.0


def test_one_that_hangs_is_named_and_all_end(images, capfd):
    changes = ["+Global.process_timeout=3"]
    faults = {1: "place.waiting for data:3:sleep"}
    with pytest.raises(Exception, match="exit code 8"):
        run(in_two, 2, images, changes, faults, joined=False)
    told = capfd.readouterr().err
    assert told.count("error: the run hangs") == 1
    assert "process 1 on host" in told
    assert "is still waiting for data of iteration 2 since" in told
    assert "in _fail" in (images / "output" / "hang_process_1.txt").read_text()
    assert (images / "output" / "hang_process_0.txt").is_file()


def test_one_that_is_frozen_is_named_and_all_end(images, capfd):
    """Stopped within its training, as by a debugger; under a launcher: tests/soak/ranks.py."""
    changes = ["+Global.process_timeout=3"]
    faults = {1: "place.computing:3:freeze"}
    # the watchdog of the other kills it, and leaves
    with pytest.raises(Exception, match=r"exit code 8|SIGKILL"):
        run(in_two, 2, images, changes, faults, joined=False)
    told = capfd.readouterr().err
    assert told.count("error: the run hangs") == 1
    assert "process 1 on host" in told
    assert "does not answer any more (stopped, dead or cut off); it was last" in told
    assert not (images / "output" / "hang_process_1.txt").exists()


@pytest.mark.slow
def test_processes_with_other_lists_or_code_refuse_to_start(start, images):
    """As on two hosts with a checkout and a list each; by PyTorch's own launcher."""
    rows = (images / "train.txt").read_text().splitlines()
    here, other = images / "host0", images / "host1"
    package = shutil.copytree(Path(lookalike.__file__).parent, other / "lookalike")
    with open(package / "geometry.py", "a") as file:
        file.write("# changed\n")
    (other / "lookalike-0.0.7.dist-info").mkdir()
    about = "Metadata-Version: 2.1\nName: lookalike\nVersion: 0.0.7\n"
    (other / "lookalike-0.0.7.dist-info" / "METADATA").write_text(about)
    here.mkdir()
    for folder, number in ((here, 48), (other, 44)):
        (folder / "train.txt").write_text("\n".join(rows[:number]) + "\n")
    who = ["-c", "user.name=x", "-c", "user.email=x"]
    for words in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "other"]):
        subprocess.run(["git", *words], cwd=other, check=True)
    code, text = start(
        "DataLoader.Train.dataset.cls_label_path=train.txt",
        number=0,
        launcher=TORCHRUN,
        FOLDER_OF_0=str(here),
        FOLDER_OF_1=str(other),
        PATH_OF_1=str(other),
    ).end()
    assert code != 0
    assert "exitcode  : 8" in text
    (line,) = [one for one in text.splitlines() if "error:" in one]
    assert "the processes do not run the same, so nothing was started" in line
    for what in ("version of lookalike", "commit", "code"):
        assert f"{what}: " in line
    assert "0.0.7 in process 1" in line
    assert "Train list: 48 images" in line
    assert "44 images" in line
    assert not list((images / "output").glob("*.jsonl"))
