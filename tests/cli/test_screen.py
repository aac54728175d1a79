"""Standard output or error that is closed, full or gone ends no command and loses no work."""

import os
import subprocess
import sys
import threading
import time

import pytest

from lookalike import screen
from lookalike.errors import SetupError
from lookalike.screen import _Lasting
from lookalike.training import RunLog, load_checkpoint

GONE = "warning: standard output cannot be written any more (Broken pipe). The command continues.\n"
FULL = GONE.replace("Broken pipe", "No space left on device")


def lookalike(arguments, redirected="", **options):
    """Run the command through a shell, which knows how to close a stream."""
    text = f'"{sys.executable}" -m lookalike {arguments} {redirected}'
    return subprocess.run(
        ["bash", "-c", text], capture_output=True, text=True, timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, **options,
    )  # fmt: skip


def test_training_goes_on_when_its_reader_has_gone(tiny):
    with subprocess.Popen(
        [sys.executable, "-m", "lookalike", "train", "-c", str(tiny / "run.yaml")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as run:  # fmt: skip
        assert "Training on 24 images" in run.stdout.readline()
        run.stdout.close()
        assert run.stderr.read() == GONE
        assert run.wait() == 0
    assert load_checkpoint(tiny / "output").state["iteration"] == 6
    log = (tiny / "output" / "train.log").read_text()
    assert log.count("standard output cannot be written any more (Broken pipe)") == 1
    assert "Finished." in log


@pytest.mark.parametrize(
    ("arguments", "redirected", "code", "stderr"),
    [
        ("version", "| true; exit ${PIPESTATUS[0]}", 0, GONE),
        ("version", ">/dev/full", 0, FULL),
        ("version", ">&-", 0, ""),
        ("version", "2>&-", 0, ""),
        ("version", ">&- 2>&-", 0, ""),
        ("version", "<&- >&- 2>&-", 0, ""),
        ("version", ">/dev/full 2>/dev/full", 0, ""),
        ("check -c nowhere.yaml", "2>/dev/full", 2, ""),
        ("check -c nowhere.yaml", "2>&-", 2, ""),
        ("no-such-command", "2>/dev/full", 2, ""),
    ],
)
def test_the_exit_code_is_that_of_the_work(arguments, redirected, code, stderr):
    done = lookalike(arguments, redirected)
    assert (done.returncode, done.stderr) == (code, stderr)


def test_json_that_another_program_would_read_is_the_work(tiny):
    arguments = f"check -c {tiny / 'run.yaml'} --json"
    done = lookalike(arguments, ">/dev/full")
    assert done.returncode == 4
    assert "error: standard output cannot be written any more (No space left" in done.stderr


def test_a_closed_stream_is_not_given_to_the_next_file():
    """What is printed would go into it."""
    script = (
        "import os, sys; from lookalike.screen import make_streams_last; make_streams_last();"
        "file = open('/dev/null'); print('into nothing'); sys.exit(10 + file.fileno())"
    )
    done = subprocess.run(["bash", "-c", f'"{sys.executable}" -c "{script}" <&- >&- 2>&-'])
    assert done.returncode - 10 > 2


def test_a_pipe_that_does_not_block_loses_nothing():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    stream, read = _Lasting(writer), []

    def drain():
        time.sleep(0.2)
        while data := os.read(reader, 65536):
            read.append(data)

    thread = threading.Thread(target=drain)
    thread.start()
    data = os.urandom(300_000)
    rest = memoryview(data)
    while rest:
        rest = rest[stream.write(rest) :]
    os.close(writer)
    thread.join()
    os.close(reader)
    assert b"".join(read) == data
    assert stream.failure is None


def test_a_log_tells_of_each_stream_once(tmp_path, monkeypatch):
    full = os.open("/dev/full", os.O_WRONLY)
    stream = _Lasting(full)
    monkeypatch.setitem(screen._NAMES, full, "standard output")
    monkeypatch.setattr(screen, "_streams", [stream])
    log = RunLog(tmp_path, quiet=True)
    log.line("before")
    stream.write(b"text")
    log.line("one")
    log.line("two")
    with pytest.raises(SetupError, match="No space left"):
        screen.print_result("{}")
    os.close(full)
    lines = (tmp_path / "train.log").read_text().splitlines()
    told = [line.partition("INFO: ")[2] for line in lines]
    warning = "WARNING: standard output cannot be written any more (No space left on device)."
    assert told == ["before", f"{warning} The run goes on.", "one", "two"]


def test_a_closed_pipe_ends_no_run_of_the_library(tmp_path):
    """Where nothing has replaced the streams: rich would end the process."""
    reader, writer = os.pipe()
    os.close(reader)
    log = RunLog(tmp_path)
    log.console.file = os.fdopen(writer, "w", buffering=1)
    log.line("one")
    with pytest.raises(BrokenPipeError):
        log.console.file.close()
    log.console.file = None
    text = (tmp_path / "train.log").read_text()
    assert "The screen cannot be written (Broken pipe)" in text
    assert "one" in text
