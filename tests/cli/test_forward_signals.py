"""Signals to the launcher: passed on, waited for, and 75 only if the processes said so."""

import os
import signal
import subprocess
import sys
import time

import pytest

from lookalike.cli.forward_signals import RanksEnded, child_sessions, forwarding_signals
from lookalike.cli.launch import _stopped

# ends with a code a moment after a signal, as a process that saves first
RANK = """
import signal, sys, time
code = int(sys.argv[1])
def end(number, frame):
    time.sleep(0.3)
    print(signal.Signals(number).name, flush=True)
    sys.exit(code)
for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
    signal.signal(number, end if code >= 0 else signal.SIG_DFL)
print("ready", flush=True)
time.sleep(60)
"""


def started(code):
    rank = subprocess.Popen(
        [sys.executable, "-c", RANK, str(code)],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert rank.stdout.readline() == "ready\n"
    return rank


@pytest.fixture
def ranks():
    own = []

    def start(*codes):
        own.extend(started(code) for code in codes)
        return own

    yield start
    for rank in own:
        rank.kill()
        rank.wait()
        rank.stdout.close()


def stopped_by(number):
    """Send the signal to this process, as to a launcher; return what it makes of it."""
    try:
        with forwarding_signals():
            os.kill(os.getpid(), number)
            time.sleep(30)
    except RanksEnded as ended:
        return ended
    raise AssertionError("not stopped")


@pytest.mark.parametrize("name", ["SIGHUP", "SIGQUIT", "SIGUSR1", "SIGTERM", "SIGINT"])
def test_a_signal_reaches_every_rank_and_their_ends_are_waited_for(ranks, name):
    number = signal.Signals[name]
    code = 130 if name == "SIGINT" else 75
    own = ranks(code, code)
    assert child_sessions() == sorted(rank.pid for rank in own)
    ended = stopped_by(number)
    assert (ended.signal, ended.codes) == (number, [code, code])
    assert [rank.stdout.read() for rank in own] == [f"{name}\n"] * 2
    # the launcher still learns how they ended
    assert [rank.wait() for rank in own] == [code, code]
    event = _stopped(ended, 2)
    assert (event.exit_code, event.told) == (code, True)


@pytest.mark.parametrize(
    ("codes", "exit_code", "told"),
    [
        ([75, 75], 75, True),
        ([75, -9], 75, True),  # 75 comes after all have saved
        ([-15, -15], 128 + 15, False),
        ([-15, 0], 128 + 15, False),
        ([], 128 + 15, False),
        ([0, 4], 4, True),
        ([-9, 5], 5, True),
    ],
)
def test_75_is_the_word_of_a_rank(codes, exit_code, told):
    event = _stopped(RanksEnded(signal.SIGTERM, codes), 2)
    assert (event.exit_code, event.told) == (exit_code, told)
    assert "saved" not in str(event) or exit_code == 75


def test_ranks_that_die_of_the_signal_have_not_saved(ranks):
    ranks(-1)
    ended = stopped_by(signal.SIGHUP)
    assert ended.codes == [-signal.SIGHUP]
    assert _stopped(ended, 1).exit_code == 128 + signal.SIGHUP


def test_an_ignored_hangup_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with forwarding_signals():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
