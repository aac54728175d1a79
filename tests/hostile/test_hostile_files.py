"""Hostile files give one message for a person: no traceback, no code run, no great memory.

All are read in one process of its own, under limits that end it if a file breaks them.
"""

from pathlib import Path

import pytest
from hostile_corpus import CORPUS, read_all
from hostile_texts import LISTS, YAML

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MEGABYTES = 200  # at most, above what the process had before


@pytest.fixture(scope="module")
def reading(tmp_path_factory):
    return read_all(tmp_path_factory.mktemp("hostile"))


def test_there_are_enough_of_them():
    assert len(CORPUS) >= 200
    assert len(YAML) >= 40
    assert len(LISTS) >= 40


def test_the_reader_survives_and_says_nothing(reading):
    found, done, _ = reading
    last = list(found)[-1] if found else "(none)"
    assert done.returncode == 0, f"ended behind {last}: {done.stderr[-2000:]}"
    assert done.stderr == ""


def test_no_code_was_run_and_nothing_written(reading):
    renamed = {".safetensors", ".parquet"}
    assert {Path(path).suffix for path in reading.new_files} <= renamed, reading.new_files
    assert not Path("/tmp/RAN").exists()


@pytest.mark.parametrize("name", CORPUS)
def test_it_is_refused_with_a_message_for_a_person(reading, name):
    assert name in reading.outcomes, "the reader died on it or before it"
    code, text, _, grown = reading.outcomes[name]
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
