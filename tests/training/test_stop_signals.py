"""A second signal ends a run at once; one to the whole group takes no worker away."""

import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import trainer_of
from killed import killed_at
from same_run import same

from lookalike.errors import Interrupted
from lookalike.training import load_checkpoint
from lookalike.training.stop_signals import stop_on_signals

# a native call that takes minutes and knows no signals
LONG = """
import hashlib, sys
from lookalike.training.stop_signals import stop_on_signals
with stop_on_signals():
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""


@pytest.mark.parametrize(
    ("numbers", "code"),
    [(["SIGTERM", "SIGTERM"], 143), (["SIGUSR1", "SIGTERM", "SIGINT"], 130)],
)
def test_the_second_signal_ends_a_run_inside_a_long_call(numbers, code):
    with subprocess.Popen(
        [sys.executable, "-c", LONG], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout.readline() == "ready\n"
        for number in numbers[:-1]:
            run.send_signal(signal.Signals[number])
            run.send_signal(signal.Signals[number])  # passed on by a wrapper: the same one
            time.sleep(0.5)
        assert run.poll() is None
        run.send_signal(signal.Signals[numbers[-1]])
        assert run.wait(timeout=60) == code
        assert run.stderr.read() == "\nStopped at once, without saving.\n"


@pytest.mark.parametrize(
    ("number", "code"),
    [("SIGHUP", 75), ("SIGQUIT", 75), ("SIGUSR1", 75), ("SIGTERM", 75), ("SIGINT", 130)],
)
def test_a_signal_in_a_step_saves_after_it(tiny, number, code):
    trainer = trainer_of(tiny, "Global.epochs=3")
    move = trainer._iteration

    def signalled(epoch, index, batch):
        if trainer.iteration == 4:
            os.kill(os.getpid(), signal.Signals[number])
            os.kill(os.getpid(), signal.Signals[number])  # a kernel and a shell
        move(epoch, index, batch)

    trainer._iteration = signalled
    before = signal.getsignal(signal.Signals[number])
    with pytest.raises(Interrupted, match=f"Stopped by {number}; everything is saved") as caught:
        trainer.run()
    assert caught.value.exit_code == code
    assert load_checkpoint(tiny / "output").state["iteration"] == 5
    assert signal.getsignal(signal.Signals[number]) == before


def test_a_hangup_that_is_ignored_stays_ignored(tiny):
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        trainer = trainer_of(tiny, "Global.epochs=1")
        move = trainer._iteration
        trainer._iteration = lambda *step: (os.kill(os.getpid(), signal.SIGHUP), move(*step))
        trainer.run()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert trainer.iteration == 3


@pytest.mark.parametrize("numbers", [["SIGHUP", "SIGHUP", "SIGTERM"], ["SIGUSR1", "SIGHUP"]])
def test_warnings_may_come_more_than_once(numbers):
    with subprocess.Popen(
        [sys.executable, "-c", LONG], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout.readline() == "ready\n"
        for number in numbers:
            run.send_signal(signal.Signals[number])
            time.sleep(0.4)
        assert run.poll() is None
        run.kill()


def test_processes_that_read_images_ignore_a_signal_to_the_group():
    """All but SIGTERM, by which they are ended."""
    numbers = [signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGINT]

    def still_alive():
        for number in numbers:
            os.kill(os.getpid(), number)

    with stop_on_signals() as stop:
        assert killed_at(still_alive, "nothing:1:kill") == 0
        assert killed_at(lambda: os.kill(os.getpid(), signal.SIGTERM), "nothing:1:kill") == -15
        assert not stop


def test_a_signal_to_the_group_saves_and_the_run_goes_on_bit_for_bit(tiny):
    """As a cluster or a terminal sends it: to the run and to the processes that read images."""
    workers = ["-o", "DataLoader.Train.loader.num_workers=2"]
    command = [sys.executable, "-m", "lookalike", "train", "-c", str(tiny / "run.yaml"), *workers]
    with subprocess.Popen(
        [*command, "-o", "Global.epochs=200", "-o", "Global.eval_during_train=False"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as run:  # fmt: skip
        for line in run.stdout:
            if "[Iter: 1/" in line:
                break
        os.killpg(run.pid, signal.SIGTERM)
        assert run.wait(timeout=60) == 75
        assert "Stopped by SIGTERM; everything is saved." in run.stderr.read()
    overrides = ["Global.epochs=200", "Global.eval_during_train=False"]
    stopped = load_checkpoint(tiny / "output")
    straight = trainer_of(tiny, *overrides, f"Global.output_dir={tiny / 'straight'}")
    resumed = trainer_of(tiny, *overrides)
    resumed.restore(stopped)
    # the end of the epoch after the one it was stopped in
    straight.epochs = resumed.epochs = stopped.state["iteration"] // 3 + 1
    straight.run()
    resumed.run()
    assert same(tiny / "straight", tiny / "output")
