"""Dashboards: VisualDL where it is installed, TensorBoard otherwise."""

import sys
import types

import pytest

from lookalike.training import RunLog
from lookalike.training.trackers import open_tracker


@pytest.fixture
def visualdl(monkeypatch):
    """A stand-in with the call shape of VisualDL's LogWriter."""
    written = []

    class LogWriter:
        def __init__(self, logdir):
            self.logdir = logdir

        def add_scalar(self, *, tag, value, step):
            written.append((tag, value, step))

        def close(self):
            written.append("closed")

    module = types.ModuleType("visualdl")
    module.LogWriter = LogWriter
    monkeypatch.setitem(sys.modules, "visualdl", module)
    return written


def log_something(tracker):
    log = RunLog(None, tracker=tracker, quiet=True)
    log.record("train", {"step": 3, "epoch": 1, "loss": 2.5, "name": "text is left out"})
    log.close()


def test_visualdl_is_written_where_it_is_installed(tmp_path, visualdl):
    notes = []
    log_something(open_tracker(tmp_path, visualdl=True, tensorboard=False, notes=notes))
    assert ("train/loss", 2.5, 3) in visualdl
    assert visualdl[-1] == "closed"
    assert notes == []


def test_tensorboard_takes_its_place_with_a_note(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "visualdl", None)
    notes = []
    log_something(open_tracker(tmp_path, visualdl=True, tensorboard=False, notes=notes))
    assert "VisualDL is not installed" in notes[0]
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_no_dashboard_unless_asked(tmp_path):
    assert open_tracker(tmp_path, visualdl=False, tensorboard=False, notes=[]) is None


def test_tensorboard_can_be_read_back(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log_something(open_tracker(tmp_path, visualdl=False, tensorboard=True, notes=[]))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    (loss,) = events.Scalars("train/loss")
    assert (loss.step, loss.value) == (3, 2.5)
