"""Every flag of every command arrives where it is meant to, and changes nothing else."""

import inspect
import sys
from importlib import import_module

import pytest
from typer.testing import CliRunner

from lookalike.assembly.job import build_job
from lookalike.cli.main import app
from lookalike.errors import ConfigError

CONFIG = ["-c", "run.yaml"]
COMMON = {
    "overrides": (["-o", "a.b=1", "--override", "+c=2"], ["a.b=1", "+c=2"]),
    "allow_import": (["--allow-import", "x", "--allow-import", "y"], ["x", "y"]),
}
MISSING = {"allow_missing": (["--allow-missing", "head.*"], ["head.*"])}
STRICT = {"strict_device": (["--strict-device"], True)}
RULES = {
    "ties": (["--ties", "expected"], "expected"),
    "normalize": (["--no-normalize"], False),
    "binarize": (["--binarize", "sign"], "sign"),
    "augment": (["--augment", "3"], 3),
    "expand": (["--expand", "4"], 4),
    "re_rank": (["--re-rank"], True),
    "memory": (["--memory", "3MB"], 3_000_000),
}
OPTIONS = {
    "metrics": (["--metric", "mAP", "--metric", "recall@1"], ["mAP", "recall@1"]),
    "protocol": (["--protocol", "sop"], "sop"),
}

# command, the function that does it, and flags by the argument that they set
COMMANDS = {
    "train": (
        ["train", *CONFIG],
        "train:run_training",
        {"resume": (["--resume"], True), **COMMON, **MISSING, **STRICT},
    ),
    "eval": (
        ["eval", *CONFIG],
        "evaluate:run_evaluation",
        {"json_file": (["--json", "m.json"], "m.json"), "tables": (["--tables", "t"], "t"),
         **COMMON, **MISSING, **STRICT},
    ),
    "eval of tables": (
        ["eval", "--query", "q.npz"],
        "evaluate_tables:run_table_evaluation",
        {"gallery": (["--gallery", "g.npz"], "g.npz"), "json_file": (["--json", "-"], "-"),
         "slice_by": (["--slice", "label"], "label"), "explain": (["--explain"], True),
         "curve": (["--curve", "c.png"], "c.png"), **OPTIONS, **RULES},
    ),
    "compare": (
        ["compare", "a.npz", "b.npz"],
        "compare:run_comparison",
        {"json_file": (["--json", "d.json"], "d.json"), **OPTIONS, **RULES},
    ),
    "embed": (
        ["embed", *CONFIG, "--out", "t.npz"],
        "embed:run_embed",
        {"split": (["--split", "Train"], "Train"), "exported": (["--exported", "e"], "e"),
         "allow_program": (["--allow-program"], True), **COMMON, **MISSING, **STRICT},
    ),
    "export": (
        ["export", *CONFIG],
        "export:run_export",
        {"onnx": (["--no-onnx"], False), "images": (["--images", "5"], 5), **COMMON, **MISSING},
    ),
    "convert": (["convert", "a", "b", *CONFIG], "convert:run_convert", {**COMMON, **MISSING}),
    "pack": (
        ["pack", *CONFIG, "--to", "p"],
        "pack:run_pack",
        {"split": (["--split", "Query"], "Query"), "shard_size": (["--shard-size", "1MB"], "1MB"),
         **COMMON},
    ),
    "check": (
        ["check", *CONFIG],
        "check:run_check",
        {"as_json": (["--json"], True), **COMMON, **STRICT},
    ),
    "check of data": (
        ["check", *CONFIG, "--data"],
        "check_data:run_data_check",
        {"as_json": (["--json"], True), "report": (["--report", "r"], "r"),
         "clean_list": (["--write-clean-list", "l"], "l"), "workers": (["--workers", "3"], 3),
         **COMMON},
    ),
    "list": (["list", "heads"], "list_components:print_components", {}),
}  # fmt: skip
PLACED = {
    "eval of tables": {"query": "q.npz"},
    "compare": {"first": "a.npz", "second": "b.npz"},
    "embed": {"out": "t.npz", "split": "Query"},
    "convert": {"source": "a", "target": "b"},
    "pack": {"folder": "p", "split": "Train"},
    "list": {"kind": "heads"},
}
FLAGS = [(command, argument) for command, (*_, flags) in COMMANDS.items() for argument in flags]


@pytest.fixture
def called(monkeypatch):
    """Run a command whose work is not done; returns the arguments it was called with."""

    def run(command, *more):
        arguments, place, _ = COMMANDS[command]
        module, name = place.split(":")
        module = import_module(f"lookalike.cli.{module}")
        signature = inspect.signature(getattr(module, name))
        seen = []
        note = lambda *args, **kwargs: seen.append(signature.bind(*args, **kwargs))  # noqa: E731
        with monkeypatch.context() as patched:
            patched.setattr(module, name, note)
            result = CliRunner().invoke(app, [*arguments, *more])
        assert result.exit_code == 0, result.output
        (bound,) = seen
        bound.apply_defaults()
        return flat(bound.arguments)

    return run


def flat(arguments):
    """Return all arguments by name, those of tables' options with the rules in them."""
    found = dict(arguments)
    options = found.pop("options", None)
    if options is not None:
        rules = vars(options.rules)
        found |= {"metrics": options.metrics, "protocol": options.protocol, **rules}
    return found


@pytest.mark.parametrize(("command", "argument"), FLAGS)
def test_a_flag_sets_its_argument_and_no_other(called, command, argument):
    given, value = COMMANDS[command][2][argument]
    plain, found = called(command), called(command, *given)
    assert found[argument] == value
    assert plain[argument] != value, "it is not the default"
    assert {key for key in found if found[key] != plain[key]} == {argument}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_placed_arrives_in_its_place(called, command):
    found = called(command)
    expected = {**PLACED.get(command, {})}
    if "-c" in COMMANDS[command][0]:
        expected["config"] = "run.yaml"
    assert {key: found[key] for key in expected} == expected


def test_resume_or_start_is_resume_that_may_start(called):
    plain = called("train")
    found = called("train", "--resume-or-start")
    assert (plain["resume"], plain["or_start"]) == (False, False)
    assert (found["resume"], found["or_start"]) == (True, True)
    assert called("train", "--resume")["or_start"] is False


def test_several_processes_are_launched_with_the_arguments(monkeypatch):
    from lookalike.cli import launch

    seen = []
    monkeypatch.setattr(launch, "check_first", lambda *args: seen.append(args))
    monkeypatch.setattr(launch, "launch", lambda *args: seen.append(args))
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    given = ["train", *CONFIG, "-o", "a=1", "--allow-import", "x", "--nproc", "3",
             "--restarts", "2"]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["lookalike", *given])
    assert CliRunner().invoke(app, given).exit_code == 0
    assert seen == [("run.yaml", ["a=1"], ["x"]), (given, 3, 2)]
    assert launch._without_ours([*given, "--nproc=4", "--restarts=1"]) == given[:-4]


def test_weights_are_listed_instead_of_components(monkeypatch):
    from lookalike.cli import list_components

    seen = []
    monkeypatch.setattr(list_components, "print_weights", lambda: seen.append("weights"))
    assert CliRunner().invoke(app, ["list", "backbones", "--weights"]).exit_code == 0
    assert seen == ["weights"]
    assert CliRunner().invoke(app, ["list", "heads", "--weights"]).exit_code == 2


# --- from the command's function to what it calls


class Arrived(Exception):
    """Ends a command where the flag has arrived."""


@pytest.fixture
def building(monkeypatch, tiny):
    """Run a command up to where its model is built; returns how it was asked for."""

    def run(command, *more):
        seen = {}
        module = import_module(f"lookalike.cli.{command}")

        def build(run, **kwargs):
            seen.update(kwargs, imports=list(run.allow_import), seed=run.config.Global.seed)
            raise Arrived

        monkeypatch.setattr(module, "build_job", build)
        name = "eval" if command == "evaluate" else command
        result = CliRunner().invoke(app, [name, "-c", str(tiny / "run.yaml"), *more])
        assert isinstance(result.exception, SystemExit)
        assert "Arrived" in result.output
        defaults = inspect.signature(build_job).parameters
        return {key: one.default for key, one in defaults.items()} | seen

    return run


@pytest.mark.parametrize("command", ["train", "evaluate", "embed", "export", "check"])
def test_flags_reach_the_model_that_is_built(building, command, tiny):
    more = ["--out", str(tiny / "t.npz")] if command == "embed" else []
    plain = building(command, *more)
    assert (list(plain["allow_missing"]), plain["imports"]) == ([], [])
    assert not plain["strict_device"]
    assert plain["seed"] == 7
    assert plain["training"] is (command in ("train", "check"))
    given = [*more, "-o", "Global.seed=9", "--allow-import", "math"]
    given += ["--strict-device"] if command != "export" else []
    given += ["--allow-missing", "head.*"] if command != "check" else []
    found = building(command, *given)
    assert (found["seed"], found["imports"]) == (9, ["math"])
    assert found["strict_device"] is (command != "export")
    assert list(found["allow_missing"]) == (["head.*"] if command != "check" else [])


@pytest.mark.parametrize(
    ("given", "expected"),
    [([], (True, 64)), (["--no-onnx"], (False, 64)), (["--onnx", "--images", "5"], (True, 5))],
)
def test_export_writes_onnx_unless_it_is_told_not_to(tiny, monkeypatch, given, expected):
    from lookalike.cli import export as command

    seen = []

    def noting(job, *, onnx, images, allow_random_weights, advance):
        assert not allow_random_weights
        seen.append((onnx, images))
        return {"parity": {}, "files": {"model.pt2": ""}}

    monkeypatch.setattr(command, "export", noting)
    result = CliRunner().invoke(app, ["export", "-c", str(tiny / "run.yaml"), *given])
    assert result.exit_code == 0, result.output
    assert "Wrote model.pt2 and card.json to" in result.output
    assert seen == [expected]


def test_packing_takes_the_split_and_the_size(tiny):
    for split, size, shards in (("Train", "1GB", 1), ("Query", "2KB", None)):
        to = tiny / split
        result = CliRunner().invoke(
            app,
            ["pack", "-c", str(tiny / "run.yaml"), "--to", str(to), "--split", split,
             "--shard-size", size],
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        found = len(list(to.glob("*.tar")))
        assert found == shards if shards else found > 1


def test_only_one_kind_of_evaluation_may_be_asked_for():
    for given in ([], ["-c", "x", "--query", "y"]):
        result = CliRunner().invoke(app, ["eval", *given])
        assert result.exit_code == ConfigError([]).exit_code
    only_tables = {
        "--metric": "mAP", "--protocol": "sop", "--gallery": "g", "--binarize": "sign",
        "--augment": "2", "--expand": "2", "--slice": "label", "--curve": "c.png",
        "--re-rank": None, "--explain": None,
    }  # fmt: skip
    for flag, value in only_tables.items():
        given = [flag] if value is None else [flag, value]
        result = CliRunner().invoke(app, ["eval", "-c", "x.yaml", *given])
        assert result.exit_code == 2
        assert f"{flag} belongs to tables" in result.output


def test_flags_of_the_data_check_belong_to_it():
    for given in (["--report", "r"], ["--write-clean-list", "l"], ["--workers", "2"]):
        result = CliRunner().invoke(app, ["check", "-c", "x.yaml", *given])
        assert result.exit_code == 2
        assert "belong to --data" in result.output
