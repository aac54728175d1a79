"""Files that are whole or absent, and faults that come where they are asked for."""

import os
import subprocess
import sys

import pytest

from lookalike.durable import synced, whole_file
from lookalike.errors import DataError, SetupError, system_error
from lookalike.faults import VARIABLE, Fault, InjectedFault, fault_point, watching


def write(path, text):
    with whole_file(path) as unfinished, synced(unfinished) as file:
        file.write(text.encode())


@pytest.mark.parametrize("nth", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("action", "error"), [("enospc", SetupError), ("raise", InjectedFault)])
def test_a_fault_at_any_point_leaves_the_old_file_or_the_new_one(tmp_path, nth, action, error):
    path = tmp_path / "list.txt"
    passed = []
    with watching(passed.append):
        write(path, "old")
    assert passed == ["file.write", "file.sync", "file.sync", "file.rename", "file.sync"]
    with pytest.raises(error), watching(Fault(f"file.*:{nth}:{action}")):
        write(path, "new")
    assert path.read_text() == ("new" if nth == 5 else "old")
    assert [p.name for p in tmp_path.iterdir()] == ["list.txt"]


def test_an_error_of_ours_within_stays_what_it_is(tmp_path):
    refused = DataError("a.jpg: cannot be read")
    refused.__cause__ = OSError(5, "Input/output error")
    with pytest.raises(DataError), whole_file(tmp_path / "list.txt"):
        raise refused


def test_what_is_no_error_of_the_system_stays_what_it_is():
    assert system_error(ValueError("no space left")) is None


@pytest.mark.parametrize(
    ("fault", "code", "lines"),
    [("disk.sync:2:kill", -9, 2), ("disk.*:1:kill", -9, 0), ("other:1:kill", 0, 3), ("", 0, 3)],
)
def test_the_variable_asks_for_a_fault(fault, code, lines):
    script = "from lookalike.faults import fault_point\n"
    script += "for name in ('write', 'sync', 'sync'):\n"
    script += "    fault_point(f'disk.{name}')\n    print(name, flush=True)\n"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, VARIABLE: fault},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (code, lines), done.stderr


def test_a_disk_stays_full():
    with watching(Fault("disk.*:2+:enospc")):
        fault_point("disk.write")
        for _ in range(3):
            with pytest.raises(OSError, match="No space left"):
                fault_point("disk.write")


@pytest.mark.parametrize("text", ["", "a", "a:b:kill", "a:1:explode", "a::kill", "a:1"])
def test_a_fault_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="point:nth:action"):
        Fault(text)
