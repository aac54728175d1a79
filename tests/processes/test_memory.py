"""What a process needs of memory for the classes it has is what the formula says."""

import sys
from pathlib import Path

import pytest
from process_group import run

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from benchmarks.processes.memory import formula, measure  # noqa: E402


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="read from /proc")
def test_a_dealt_head_takes_what_the_formula_says():
    found = run(measure, 2, 300_000, 1.0, False)
    tables = 2 * 4 * 150_000 * 512
    for one in found:
        assert one["rows"] == 150_000
        # the tables are there, and little besides
        assert 0.98 * tables < one["bytes"] <= formula(300_000, 2)
