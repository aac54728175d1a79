"""Who is named when several processes hang, and that nobody is ended who moves."""

import threading
import time

import pytest
from torch.distributed import HashStore

from lookalike import place
from lookalike.training.hang import Report, verdict
from lookalike.training.watchdog import Watchdog


def report(rank, beat=1, phase="computing", iteration=17, meetings=0, still=62.0, line="a.py:1"):
    return Report(rank, "node", 1, 1, beat, phase, iteration, meetings, still, line)


def later(reports):
    return [Report(**{**vars(one), "beat": one.beat + 1}) for one in reports]


@pytest.mark.parametrize(
    ("slow", "text"),
    [
        ({"phase": "waiting for data"}, "process 1 on host node is still waiting for data of"),
        ({"iteration": 16, "phase": "evaluating"}, "still evaluating in iteration 16 since 62 s"),
        ({"iteration": 16, "phase": "saving", "meetings": 3}, "still saving in iteration 16"),
    ],
)
def test_the_one_behind_is_named(slow, text):
    first = [report(0), report(1, **slow), report(2)]
    found = verdict(first, later(first), 60.0)
    assert text in found
    assert found.endswith("the others wait for it, computing in iteration 17")
    assert "process 0" not in found
    assert "process 2" not in found


def test_among_equal_places_the_calls_in_which_they_meet_decide():
    first = [report(0, meetings=2), report(1, meetings=1)]
    assert "process 1 on host node is still computing" in verdict(first, later(first), 60.0)


def test_one_that_does_not_answer_is_named_first():
    first = [report(0), report(1, phase="waiting for data"), report(2)]
    second = [*later(first[:2]), first[2]]
    found = verdict(first, second, 60.0)
    assert "process 2 on host node does not answer any more" in found
    assert "process 1" not in found
    assert "never been heard of" in verdict([report(0), None], [report(0, 2), None], 60.0)


def test_nobody_behind_gives_the_lines():
    first = [report(0, line="a.py:1"), report(1, line="b.py:2")]
    assert verdict(first, later(first), 60.0).endswith("process 0 at a.py:1; process 1 at b.py:2")


def test_one_that_moves_may_be_waited_for():
    first = [report(0, phase="saving"), report(1, still=2.0, phase="evaluating")]
    assert verdict(first, later(first), 60.0) is None


def watched(folder, moving, seconds):
    """Return the exit codes of two watched processes in one store, the second of which may move."""
    store, left = HashStore(), []
    dogs = []
    for rank in range(2):
        dogs.append(Watchdog(store, rank, 2, timeout=0.5, folder=folder, leave=left.append))
    stop = threading.Event()

    def move():
        while not stop.wait(0.05):
            place.moved()

    mover = threading.Thread(target=move, daemon=True)
    if moving:
        mover.start()
    with dogs[0], dogs[1]:
        end = time.monotonic() + seconds
        while not (moving is False and len(left) >= 2) and time.monotonic() < end:
            time.sleep(0.05)
    stop.set()
    return left


def test_a_hang_ends_every_process_with_its_stacks(tmp_path, capfd):
    place.at("evaluating", 3)
    left = watched(tmp_path, moving=False, seconds=20.0)
    assert set(left) == {8}
    for rank in range(2):
        text = (tmp_path / f"hang_process_{rank}.txt").read_text()
        assert "processes are evaluating in iteration 3" in text
        assert "test_watchdog.py" in text
    assert capfd.readouterr().err.count("error: the run hangs: all 2 processes") == 1


def test_a_long_evaluation_that_moves_is_left_alone(tmp_path):
    assert watched(tmp_path, moving=True, seconds=1.5) == []
