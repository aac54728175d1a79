"""A second signal ends a run at once; one to the whole group takes no worker away."""

import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import trainer_of
from same_run import same

from lookalike.training import load_checkpoint

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
