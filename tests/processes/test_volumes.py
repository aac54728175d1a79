"""What a process sends in a step is what the formula says, and never the logits."""

import sys
from pathlib import Path

import pytest
from process_group import run

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from benchmarks.processes.volumes import BATCH, CLASSES, formula, volumes  # noqa: E402


@pytest.mark.parametrize("number", [2, 3])
def test_bytes_sent_in_a_step_are_those_of_the_formula(number):
    for found in run(volumes, number):
        for what, sent in found.items():
            computed = formula(what, number)
            assert sum(sent.values()) == pytest.approx(sum(computed.values()), abs=8), what
        assert sum(found["sharded"].values()) < BATCH * CLASSES * 4
