"""A short run of the calls that ``make soak`` makes by the ten thousand in a checked process."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.data.transforms import kernels as pixel_kernels
from lookalike.retrieval import counting, nearest, sparse
from tests.soak import kernels


@settings(max_examples=200, deadline=None)
@given(
    number=st.integers(0, 10**6),
    seed=st.integers(0, 10**6),
    wild=st.sampled_from([0.0, 0.03, 0.2]),
)
def test_arguments_are_used_or_refused_compiled_or_not(number, seed, wild):
    """The plain code cannot damage memory; what it refuses, the compiled code must refuse."""
    compiled = kernels.attempt(number, seed, wild)
    with pytest.MonkeyPatch.context() as patch:
        for module in (counting, nearest, sparse):
            patch.setattr(module, "_kernel", lambda: None)
        patch.setattr(pixel_kernels, "compiled", lambda: None)
        assert kernels.attempt(number, seed, wild) == compiled


def test_most_calls_that_fit_return():
    """A test of the test: it would mean nothing if everything was refused."""
    came = kernels.measured(240, seed=2)
    assert came["failures"] == []
    results = [name for name in came["came"] if name.endswith(": result")]
    assert len(results) == len(kernels.CALLS)
    assert sum(came["came"][name] for name in results) > 120


def test_what_nobody_foresaw_is_kept(monkeypatch):
    """Another error than a ValueError fails the run."""

    def wrong(draw):
        raise IndexError("index is out of bounds")

    monkeypatch.setattr(kernels, "CALLS", (kernels.neighbours, wrong))
    found = kernels.measured(4, seed=0)
    assert [failure["number"] for failure in found["failures"]] == [1, 3]
    assert "IndexError: index is out of bounds" in found["failures"][0]["error"]
