"""A short run of the fuzzing that ``make soak`` does by the hundred thousand."""

from pathlib import Path

import pytest

from lookalike.errors import DataError
from tests.soak import fuzz

COUNT = 300


@pytest.fixture(scope="module")
def found():
    return fuzz.measured(COUNT, seed=1, warm=False)


def test_only_errors_for_people_come_of_it(found):
    assert found["failures"] == []
    assert found["inputs"] > 0.9 * COUNT
    assert len(found["by_family"]) == 7
    assert set(found["refused"]) == {"ConfigError", "DataError"}
    assert found["megabytes_grown"] < fuzz.MEGABYTES


def test_an_error_nobody_foresaw_and_a_hang_are_kept(tmp_path, monkeypatch):
    """A test of the test."""
    monkeypatch.setattr(fuzz, "SECONDS", 0.05)
    fuzz.signal.signal(fuzz.signal.SIGALRM, fuzz._stop)
    runner = fuzz.Fuzz(tmp_path, fuzz.random.Random(0))

    def refuse():
        raise DataError("x")

    def endless():
        while True:
            pass

    runner.attempt("a", b"input", refuse, lambda: [][1], endless)
    kinds = [failure["error"].split(":")[0] for failure in runner.failures]
    assert kinds == ["IndexError", "Hang"]
    assert runner.refused == {"DataError": 1}


def test_the_same_seed_makes_the_same_inputs():
    data = Path(__file__).read_bytes()
    made = [[fuzz.mutated(data, fuzz.random.Random(seed)) for _ in range(3)] for seed in (5, 5, 6)]
    assert made[0] == made[1] != made[2]
