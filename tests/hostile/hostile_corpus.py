"""All hostile files: written, read in a process of its own, and what came of each.

``python tests/hostile/hostile_corpus.py`` prints the figures of docs/hostile_files.md.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from hostile_binaries import BINARIES
from hostile_texts import LISTS, YAML

CORPUS = {
    **{f"{name}.yaml": entry for name, entry in YAML.items()},
    **LISTS,
    **{name: (*entry, 0) for name, entry in BINARIES.items()},
}
READER = Path(__file__).with_name("read_hostile.py")


class Outcome(NamedTuple):
    """What came of a file: see read_hostile.py."""

    code: int
    text: str
    seconds: float
    megabytes: float


class Reading(NamedTuple):
    """What came of all files."""

    outcomes: dict[str, Outcome]
    process: subprocess.CompletedProcess
    new_files: set[str]


def make_all(folder):
    """Write the corpus and the plan for the reader."""
    (folder / "images").mkdir()
    (folder / "images" / "a.jpg").write_bytes(b"never decoded")
    plan = []
    for number, (name, (reader, content, *_)) in enumerate(CORPUS.items()):
        path = folder / f"{number:03d}" / name
        path.parent.mkdir()
        content(path) if callable(content) else path.write_bytes(content)
        plan.append((name, reader, str(path)))
    (folder / "plan.json").write_text(json.dumps(plan))


def read_all(folder):
    """Write and read the corpus."""
    make_all(folder)
    before = {str(path) for path in folder.rglob("*")}
    done = subprocess.run(
        [sys.executable, READER, str(folder)],
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    found = {name: Outcome(*rest) for name, *rest in map(json.loads, done.stdout.splitlines())}
    return Reading(found, done, {str(path) for path in folder.rglob("*")} - before)


def main():
    """Print a row for each reader."""
    with tempfile.TemporaryDirectory() as folder:
        found = read_all(Path(folder))
    by_reader = defaultdict(list)
    for name, outcome in found.outcomes.items():
        by_reader[CORPUS[name][0]].append((name, outcome))
    by_reader["all"] = list(found.outcomes.items())
    print("| reader | files | refused as expected | with the line | CPU s | MB |")
    print("|---|---|---|---|---|---|")
    for reader, rows in by_reader.items():
        right = sum(outcome.code == CORPUS[name][2] for name, outcome in rows)
        lined = sum(bool(re.search(rf"{re.escape(n)}:\d+:", one.text)) for n, one in rows)
        slowest = max(outcome.seconds for _, outcome in rows)
        largest = max(outcome.megabytes for _, outcome in rows)
        print(f"| {reader} | {len(rows)} | {right} | {lined} | {slowest:.2f} | {largest:.0f} |")


if __name__ == "__main__":
    main()
