"""Hostile files give one message for a person: no traceback, no code run, no great memory.

All are read in one process of its own, under limits that end it if a file breaks them.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hostile_binaries import BINARIES
from hostile_texts import LISTS, YAML

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CORPUS = {
    **{f"{name}.yaml": entry for name, entry in YAML.items()},
    **LISTS,
    **{name: (*entry, 0) for name, entry in BINARIES.items()},
}
MEGABYTES = 200  # at most, above what the process had before
READER = Path(__file__).with_name("read_hostile.py")


def make_all(folder):
    """Write the corpus; returns the plan for the reader."""
    (folder / "images").mkdir()
    (folder / "images" / "a.jpg").write_bytes(b"never decoded")
    plan = []
    for number, (name, (reader, content, *_)) in enumerate(CORPUS.items()):
        path = folder / f"{number:03d}" / name
        path.parent.mkdir()
        content(path) if callable(content) else path.write_bytes(content)
        plan.append((name, reader, str(path)))
    (folder / "plan.json").write_text(json.dumps(plan))
    return plan


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
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
    found = {name: rest for name, *rest in map(json.loads, done.stdout.splitlines())}
    new = {str(path) for path in folder.rglob("*")} - before
    return found, done, new


def test_there_are_enough_of_them():
    assert len(CORPUS) == len(YAML) + len(LISTS) + len(BINARIES) >= 40
    assert len(YAML) >= 40
    assert len(LISTS) >= 40


def test_the_reader_survives_and_says_nothing(outcomes):
    found, done, _ = outcomes
    last = list(found)[-1] if found else "(none)"
    assert done.returncode == 0, f"ended behind {last}: {done.stderr[-2000:]}"
    assert done.stderr == ""


def test_no_code_was_run_and_nothing_written(outcomes):
    _, _, new = outcomes
    assert {Path(path).suffix for path in new} <= {".safetensors", ".parquet"}, new  # renamed
    assert not Path("/tmp/RAN").exists()


@pytest.mark.parametrize("name", CORPUS)
def test_it_is_refused_with_a_message_for_a_person(outcomes, name):
    found, _, _ = outcomes
    assert name in found, "the reader died on it or before it"
    code, text, _, grown = found[name]
    *_, expected, line = CORPUS[name]
    assert "This is a bug" not in text, text
    assert "Traceback" not in text
    assert "MemoryError" not in text, text
    assert code == expected, text
    assert text.startswith("error: ")
    assert name.split(".")[0] in text, text
    assert len(text) < 6000
    assert all(len(row) < 2500 for row in text.splitlines())
    assert not any(ord(letter) < 32 and letter not in "\n\t" for letter in text)
    if line:
        assert f"{name}:{line}:" in text, text[:400]
    assert grown < MEGABYTES, f"{grown:.0f} MB"
