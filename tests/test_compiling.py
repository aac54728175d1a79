"""Compiled functions give the same numbers where numba cannot cache, or does not work at all."""

import logging
import sys
import types

import pytest

from lookalike import compiling
from lookalike.compiling import kernel, kernels_in

caching = pytest.importorskip("numba.core.caching")


@pytest.fixture(autouse=True)
def notes(caplog):
    """Return what is logged; every note is new."""
    compiling.note.cache_clear()
    caplog.set_level(logging.WARNING, logger="lookalike")
    return lambda: [record.getMessage() for record in caplog.records]


def double(number):
    return 2 * number


def triple(number):
    return 3 * number


def test_without_a_place_for_the_cache_functions_are_compiled_and_one_note_says_so(
    monkeypatch, notes
):
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    assert kernel()(double)(4) == 8
    assert kernel("i8(i8)")(triple)(4) == 12
    (note,) = notes()
    assert "NUMBA_CACHE_DIR" in note


@pytest.mark.parametrize("method", ["_load_index", "_save_index", "load"])
def test_a_cache_that_is_damaged_or_full_costs_nothing_but_time(
    monkeypatch, tmp_path, notes, method
):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(caching.config, "CACHE_DIR", str(tmp_path))

    def fails(*_):
        raise OSError(28, "No space left on device")

    if method == "load":
        assert kernel()(double)(4) == 8  # so that there is something to load
    monkeypatch.setattr(caching.IndexDataCacheFile, method, fails)
    assert kernel()(double)(4) == 8
    assert notes()
    assert all("No space left" in note and str(tmp_path) in note for note in notes())


def test_numba_that_does_not_work_is_done_without(monkeypatch, notes):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "lookalike.broken_kernels":
                raise OSError("libllvm.so: cannot open shared object file")

    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    assert kernels_in("lookalike.broken_kernels") is None
    (note,) = notes()
    assert "libllvm.so" in note


def test_numba_that_is_missing_is_no_news(monkeypatch, notes):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr(
        compiling.importlib,
        "import_module",
        lambda name: types.SimpleNamespace(__import__("numba")),
    )
    assert kernels_in("lookalike.kernels_without_numba") is None
    assert notes() == []
