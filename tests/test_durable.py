"""Files that are whole or absent, and faults that come where they are asked for."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from killed import killed_at, points_passed

from lookalike.durable import synced, whole_file, whole_folder
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


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_two_writers_of_one_file_do_not_meet_and_the_last_one_wins(tmp_path):
    """The second one begins and ends while the first one is half through."""
    path = tmp_path / "table.npz"
    with whole_file(path) as first, open(first, "w") as file:
        file.write("fir")
        write(path, "second")
        assert path.read_text() == "second"
        assert first.exists(), "the second one must not take it for a leftover"
        file.write("st")
    assert path.read_text() == "first"
    assert names(tmp_path) == ["table.npz"]


def test_what_a_killed_writer_left_is_removed_by_the_next_one(tmp_path):
    path = tmp_path / "table.npz"
    assert killed_at(lambda: write(path, "old"), "file.rename:1:kill") == -signal.SIGKILL
    (left,) = names(tmp_path)
    assert left.startswith(".table.npz.writing-")
    write(tmp_path / "other.npz", "another target")
    assert left in names(tmp_path)
    write(path, "new")
    assert names(tmp_path) == ["other.npz", "table.npz"]


def test_the_lock_ends_with_its_process_even_if_a_forked_one_lives_on(tmp_path):
    ready, write_end = os.pipe()

    def act():
        with whole_file(tmp_path / "a"):
            os.write(write_end, str(sleeping()).encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def sleeping():
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
        return child

    assert killed_at(act, "nothing:1:kill") == -signal.SIGKILL
    orphan = int(os.read(ready, 20))
    try:
        write(tmp_path / "a", "new")
        assert names(tmp_path) == ["a"]
    finally:
        os.kill(orphan, signal.SIGKILL)
        os.close(ready)
        os.close(write_end)


def test_a_leftover_is_kept_where_no_lock_tells_whether_its_process_lives(tmp_path, monkeypatch):
    def without_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    killed_at(lambda: write(tmp_path / "a", "old"), "file.rename:1:kill")
    monkeypatch.setattr(fcntl, "flock", without_locks)
    write(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"
    assert len(names(tmp_path)) == 2


def test_a_long_name_a_link_and_a_pipe(tmp_path):
    long = tmp_path / ("ä" * 127)
    write(long, "text")
    assert names(tmp_path) == [long.name]
    link = tmp_path / "link"
    link.symlink_to(long)
    write(link, "through")
    assert link.is_symlink()
    assert long.read_text() == "through"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with whole_file(pipe) as unfinished:
        unfinished.write_text("into the pipe")
    assert os.read(reader, 20) == b"into the pipe"
    os.close(reader)


def test_a_folder_is_whole_or_absent(tmp_path):
    def fill():
        with whole_folder(tmp_path / "pack") as unfinished:
            for name in ("a", "b"):
                with synced(unfinished / name) as file:
                    file.write(b"1")

    total = points_passed(fill)
    assert total == 7
    for nth in range(1, total + 1):
        shutil.rmtree(tmp_path / "pack", ignore_errors=True)
        assert killed_at(fill, f"file.*:{nth}:kill") == -signal.SIGKILL
        assert not (tmp_path / "pack").exists() or names(tmp_path / "pack") == ["a", "b"]
    shutil.rmtree(tmp_path / "pack", ignore_errors=True)
    fill()
    assert names(tmp_path) == ["pack"]
    with pytest.raises(SetupError, match="cannot be written"):
        fill()


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
