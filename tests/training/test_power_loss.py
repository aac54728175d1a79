"""The power fails: only what was synced is on the disk."""

import os
import stat
from pathlib import Path

import pytest
from test_checkpoint import change

from lookalike.faults import watching
from lookalike.training import load_checkpoint
from lookalike.training.intact import is_intact, newest_intact


class Disk:
    """What is on the disk for certain: contents of files and entries of folders when synced."""

    def __init__(self):
        self.files, self.folders, self.held = {}, {}, []

    def sync(self, descriptor):
        about = os.fstat(descriptor)
        # held, so that the number of a deleted file is not given to another one
        self.held.append(os.dup(descriptor))
        if stat.S_ISDIR(about.st_mode):
            self.folders[about.st_ino] = entries(descriptor)
        else:
            self.files[about.st_ino] = Path(f"/proc/self/fd/{descriptor}").read_bytes()

    def close(self):
        for descriptor in self.held:
            os.close(descriptor)

    def copy(self, folder, target, *, entries_last):
        """Write what is there after the failure.

        Args:
            folder: Before it.
            target: A new folder.
            entries_last: Renames and new names have reached the disk without being synced, as
                file systems with a journal have it; else only those that were synced.
        """
        target.mkdir()
        number = os.stat(folder).st_ino
        found = entries(folder) if entries_last else self.folders.get(number, {})
        self._copy(found, folder, target, entries_last)

    def _copy(self, found, folder, target, entries_last):
        for name, (number, is_folder) in found.items():
            if not is_folder:
                (target / name).write_bytes(self.files.get(number, b""))
                continue
            (target / name).mkdir()
            inner = self.folders.get(number, {})
            if entries_last and (folder / name).exists():
                inner = entries(folder / name)
            self._copy(inner, folder / name, target / name, entries_last)


def entries(folder):
    with os.scandir(folder) as found:
        return {
            e.name: (e.inode(), e.is_dir(follow_symlinks=False)) for e in found
        }  # fmt: skip


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.parametrize("entries_last", [True, False])
def test_a_power_loss_at_any_point_leaves_whole_checkpoints(tmp_path, monkeypatch, entries_last):
    disk, run, copies = Disk(), tmp_path / "run", []
    monkeypatch.setattr(os, "fsync", disk.sync)

    def fail(name):
        copy = tmp_path / f"{len(copies)}"
        disk.copy(run, copy, entries_last=entries_last)
        copies.append((name, copy))

    for value in (1, 2, 3):
        change(run, value)
    with watching(fail):
        change(run, 4)
    fail("end")
    disk.close()
    seen = []
    for name, copy in copies:
        for one in copy.glob("*"):
            assert one.name.startswith(".") or is_intact(one), (name, one.name)
        chosen, warnings = newest_intact(copy)
        assert warnings == [], name
        seen.append(load_checkpoint(chosen).facts["epoch"])
    assert len(seen) > 30
    assert sorted(seen) == seen  # never back to an older one
    assert set(seen) == {3, 4}
