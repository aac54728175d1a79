"""The command in several processes, with faults in chosen ones."""

import os
import subprocess
import sys
import time
from pathlib import Path

# read by every Python process: a fault for one rank, and another one after it was started again
_FAULTS = """\
import os
import sys
rank = os.environ.get("RANK")
starts = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
for fault in os.environ.get(f"FAULT_OF_{rank}", "").split(";")[starts : starts + 1]:
    if fault:
        os.environ["LOOKALIKE_FAULT"] = fault
folder = os.environ.get(f"FOLDER_OF_{rank}")
if folder:
    os.chdir(folder)
path = os.environ.get(f"PATH_OF_{rank}")
if path:
    sys.path.insert(0, path)
"""


class Launched:
    """A command that was started in a session of its own.

    Args:
        command: What follows ``python``.
        folder: For what it prints, and for what makes the faults.
        environment: FAULT_OF_<rank>, see lookalike.faults, one for each start; FOLDER_OF_<rank>,
            its working folder; PATH_OF_<rank>, where it finds modules first.
    """

    def __init__(self, command, folder, **environment):
        self.folder = Path(folder)
        (self.folder / "sitecustomize.py").write_text(_FAULTS)
        self.path = self.folder / "printed.txt"
        before = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")}
        search = os.pathsep.join([str(self.folder), os.environ.get("PYTHONPATH", "")])
        self.started = time.monotonic()
        with open(self.path, "w") as file:
            self.process = subprocess.Popen(
                [sys.executable, *map(str, command)],
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**before, "OMP_NUM_THREADS": "1", "PYTHONPATH": search, **environment},
            )

    def children(self):
        """Return the process ids of what it started, in the order of their ranks."""
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        found = {}
        for pid in map(int, text.read_text().split()):
            try:
                facts = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            except OSError:
                continue
            ranks = [one[5:] for one in facts if one.startswith(b"RANK=")]
            if ranks:
                found[int(ranks[0])] = pid
        return [found[rank] for rank in sorted(found)]

    def wait_for(self, text, timeout=60.0):
        """Wait until it has printed the text; return what it has printed."""
        end = time.monotonic() + timeout
        while text not in self.printed():
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"{text!r} was not printed: {self.printed()}")
            time.sleep(0.02)
        return self.printed()

    def end(self, timeout=90.0):
        """Return its exit code and what it printed; nothing of its session may be left."""
        try:
            code = self.process.wait(timeout)
        finally:
            left = self.orphans()
            for pid in left:
                os.kill(pid, 9)
            if self.process.poll() is None:
                self.process.kill()
        assert left == [], self.printed()
        return code, self.printed()

    def printed(self):
        return self.path.read_text(errors="replace")

    def orphans(self, patience=8.0):
        """Return the processes of its session; those that read images take some seconds to end."""
        end = time.monotonic() + patience
        while (found := self._session()) and time.monotonic() < end:
            time.sleep(0.05)
        return found

    def _session(self):
        found = []
        for place in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = place.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            # state, parent, group, session
            if int(fields[3]) == self.process.pid and fields[0] != "Z":
                found.append(int(place.parent.name))
        return [pid for pid in found if pid != self.process.pid]


def command_of(root, *overrides, number=2, options=()):
    """Return the command that trains the run of a folder in several processes."""
    changes = [part for one in overrides for part in ("-o", one)]
    launch = ["--nproc", number] if number else []
    return ["-m", "lookalike", "train", "-c", root / "run.yaml", *launch, *options, *changes]
