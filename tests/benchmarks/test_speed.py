"""The speed benchmark: our side in tiny sizes, goals and report from made-up rows, one process."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from benchmarks.speed import __main__ as driver
from benchmarks.speed import goals, report, rounds, rows, scale, work
from benchmarks.speed.plan import Outcome, Where
from benchmarks.speed.topics import TOPICS
from benchmarks.speed.work import Budget, Work, measure
from benchmarks.speed.worker import find, run_case

FIELDS = {"topic", "case", "system", "value", "unit", "cpu_seconds", "peak_mb"}
FIELDS |= {"fastest", "slowest", "others", "error", "version", "role"}
TINY = {
    "train_mobilenet": {"backbone": "mobilenet", "size": 32, "classes": 20, "batch": 4},
    "input": {"images": 4, "batch": 4, "size": 32, "augmix": True},
    "samplers": {"images": 400, "ids": 40, "batch": 16, "per_id": 4},
    "heads": {"classes": 50, "size": 8, "batch": 4},
    "pairs": {"loss": "supcon", "batch": 16, "size": 8, "per_id": 4},
    "extract": {"backbone": "alexnet", "size": 64, "images": 4, "batch": 2},
}


def own(topic):
    return [system for system in topic.systems if system.environment == "own"]


def tiny(name, tmp_path):
    """Return a topic with one tiny case, its files written."""
    topic = TOPICS[name]
    case = replace(topic.quick[0], sizes=TINY[name])
    topic = replace(topic, cases=(case,), quick=(case,))
    if topic.prepare:
        find(topic.prepare)([case.sizes], str(tmp_path))
    return topic


def run(topic, system, tmp_path):
    job = {"system": system.name, "device": "cpu", "threads": 1, "folder": str(tmp_path)}
    return run_case(topic, {**job, "seed": 0, "seconds": 0.0, "least": 1}, topic.cases[0].name)


def check(topic, tmp_path):
    outcomes = [run(topic, system, tmp_path) for system in own(topic)]
    failed = {one.system: one.error for one in outcomes if one.error}
    assert failed == {}
    for row in rows.rows_of(topic, topic.cases, [outcomes, outcomes], how={"threads": 1}):
        assert set(row) >= FIELDS
        if not row["error"]:
            assert row["value"] > 0 and row["peak_mb"] > 0 and row["fastest"] and row["slowest"]
    return {one.system: one for one in outcomes}


@pytest.mark.parametrize("name", ["input", "samplers", "heads"])
def test_our_side_runs(name, tmp_path):
    check(tiny(name, tmp_path), tmp_path)


def test_the_plain_loops_train_what_ours_trains(tmp_path):
    outcomes = check(tiny("train_mobilenet", tmp_path), tmp_path)
    numbers = {one.facts["parameters"] for one in outcomes.values() if "parameters" in one.facts}
    assert len(numbers) == 1


@pytest.mark.parametrize("loss", ["supcon", "triplet", "circle", "multi_similarity"])
def test_our_pair_losses_tell_value_and_gradient(loss, tmp_path, monkeypatch):
    monkeypatch.setitem(TINY, "pairs", {**TINY["pairs"], "loss": loss})
    facts = check(tiny("pairs", tmp_path), tmp_path)["Lookalike"].facts
    assert facts["loss"] > 0 and facts["gradient"] > 0


def test_embeddings_are_those_of_the_model_whatever_runs_it(tmp_path):
    pytest.importorskip("onnxscript")
    outcomes = check(tiny("extract", tmp_path), tmp_path)
    first = [one.facts["first"] for name, one in outcomes.items() if "first" in one.facts]
    assert len(first) == 4 and first == pytest.approx([first[0]] * 4, abs=1e-4)


def test_a_process_of_its_own_and_missing_peers(tmp_path, monkeypatch, capsys):
    missing = ["--peers", str(tmp_path / "none"), "--paddle", str(tmp_path / "none")]
    chosen = ["--topics", "startup", "--systems", "python -c,import PML", "--quick"]
    folders = ["--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    monkeypatch.setattr(sys, "argv", ["speed", *missing, *chosen, *folders, "--seconds", "0.01"])
    driver.main()
    made = json.loads((tmp_path / "out" / "latest.json").read_text())
    found = {row["system"]: row for row in made}
    assert found["python -c pass"]["value"] > 0
    assert found["import PML"]["value"] is None
    assert found["import PML"]["error"] == "not installed"
    (written,) = (tmp_path / "out").glob("speed_*.md")
    assert "not installed" in written.read_text() and "import PML" in capsys.readouterr().out


def made_up(topic, case, values, **more):
    """Return rows of one case from values by round."""
    outcomes = [
        [
            Outcome(system, case.name, value=value[number], peak_mb=1.0, calls=1)
            if value is not None
            else Outcome(system, case.name, error="not installed")
            for system, value in values.items()
        ]
        for number in range(2)
    ]
    return rows.rows_of(topic, (case,), outcomes, how=more)


def test_values_of_losses_are_compared():
    made = pairs_rows()
    for row, loss in zip(made, (2.0, 2.0002, 0.0, 0.0), strict=True):
        row["facts"] = {"loss": loss, "gradient": 1.0} if loss else {}
    table = report.case_table(made)
    assert "loss off by 1e-04, gradient off by 0e+00" in table


def pairs_rows():
    topic = TOPICS["pairs"]
    values = {"Lookalike": (10.0, 30.0), "PML": (5.0, 10.0), "PaddleClas": None}
    return made_up(topic, topic.quick[0], values | {"three products": (20.0, 40.0)})


def test_a_ratio_is_taken_within_each_round():
    found = {row["system"]: row for row in pairs_rows()}
    assert rows.times(found["Lookalike"], found["PML"]) == (2.5, 2.0, 3.0)
    assert (found["PML"]["fastest"], found["PML"]["slowest"]) == (10.0, 5.0)


def test_less_is_better_where_the_unit_is_seconds():
    topic = TOPICS["startup"]
    made = made_up(
        topic,
        topic.quick[0],
        {"lookalike --help": (0.4, 0.2), "lookalike check": (3.5, 3.0), "import torch": (2.0, 2.0)},
    )
    found = {row["system"]: row for row in made}
    assert rows.times(found["lookalike --help"], found["import torch"]) == (7.5, 5.0, 10.0)
    told = {one.goal.ours: goals.words(one) for one in goals.verdicts(made)}
    assert told == {"lookalike --help": "reached", "lookalike check": "not reached"}


def test_goals_are_judged():
    told = {one.goal.over: goals.words(one) for one in goals.verdicts(pairs_rows())}
    assert told["PML"] == "reached"
    assert told["PaddleClas"] == "not measured (PaddleClas: not installed)"


def test_the_best_library_is_found_and_the_limit():
    topic = TOPICS["input"]
    values = {"Lookalike": (10.0, 10.0), "PaddleClas": (90.0, 90.0), "timm, Pillow": (4.0, 4.0)}
    values |= {"albumentations": (8.0, 8.0), "full decode": (20.0, 20.0)}
    found = goals.verdicts(made_up(topic, topic.quick[0], values))
    measured = {one.goal.over: (one.over, one.measured[0], one.reached) for one in found}
    assert measured == {
        "PaddleClas": ("PaddleClas", pytest.approx(1 / 9), False),
        "the best library": ("albumentations", 1.25, True),
        "limit": ("full decode", 0.5, False),
    }


def test_every_goal_has_its_systems_and_cases():
    for goal in goals.GOALS:
        topic = TOPICS[goal.topic]
        systems = {system.name for system in topic.systems}
        assert goal.ours in systems
        assert goal.over in systems | {"", goals.BEST_LIBRARY, "limit"}
        assert goal.key in {case.goal for case in topic.cases}


def test_every_system_names_a_file_and_cases_that_exist():
    folder = Path(driver.__file__).parent / "systems"
    for topic in TOPICS.values():
        for system in topic.systems:
            module, _, function = system.place.partition(":")
            assert f"def {function}(" in (folder / f"{module}.py").read_text()
            assert set(system.cases or ()) <= {c.name for c in (*topic.cases, *topic.quick)}


def test_a_power_law_is_found():
    topic = TOPICS["heads"]
    made = []
    for case in topic.cases:
        step = 1e-9 * case.curve[1] ** 1.5
        made += made_up(topic, case, {"torch dense": (1 / step, 1 / step)})
    (curve,) = scale.curves(made)
    assert curve.exponent == pytest.approx(1.5) and curve.error == pytest.approx(1.0)


def test_the_gallery_of_the_retrieval_benchmark_is_a_curve():
    made = [
        {"topic": "retrieval", "case": f"8 x {n} x 4 mapped", "system": "Lookalike", "value": n / 9}
        for n in (10, 20, 40)
    ]
    assert [round(one.exponent, 6) for one in scale.curves(made)] == [1.0]


def test_the_report_and_its_pictures(tmp_path):
    topics = [TOPICS["pairs"]]
    driver.write(topics, pairs_rows(), tmp_path, "the machine")
    (written,) = tmp_path.glob("*.md")
    text = written.read_text()
    assert "| PML | 7.5 | 10 to 5 | 2.50 (2.00 to 3.00) |" in text
    assert "not installed" in text and "at least 1.7 x PML" in text and "the machine" in text
    (picture,) = tmp_path.glob("*.png")
    assert picture.stat().st_size > 1000 and picture.name in text
    assert report.goals_table(goals.verdicts(pairs_rows())).count("\n") >= 2


def test_rows_take_the_place_of_their_topic_only(tmp_path):
    path = tmp_path / "latest.json"
    rows.save([{"topic": "a", "value": 1}, {"topic": "b", "value": 2}], path)
    rows.save([{"topic": "b", "value": 3}], path)
    assert [row["value"] for row in json.loads(path.read_text())] == [1, 3]


def test_a_slow_first_call_counts_where_it_may(monkeypatch):
    calls = []

    def slow():
        calls.append(sum(range(100_000)))

    monkeypatch.setattr(work, "TOO_LONG", 1e-6)
    found = measure(lambda: Work(slow), TOPICS["pairs"], Where(), Budget(1e-6, cold=True))
    assert (found.calls, len(calls)) == (1, 1)
    found = measure(lambda: Work(slow), TOPICS["startup"], Where(), Budget(1e-6, least=2))
    assert (found.calls, len(calls)) == (2, 4)


def test_a_process_that_takes_too_long_is_an_outcome(tmp_path):
    topic = TOPICS["startup"]
    settings = rounds.Settings({"own": sys.executable}, timeout=0.01)
    system = topic.system("python -c pass")
    (found,) = rounds.run_system(topic, system, topic.quick, settings, tmp_path)
    assert found.value is None and "took more than" in found.error
