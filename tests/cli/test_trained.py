"""``--model`` and the run's own model on the command line: what is used, and what is printed."""

import json

import pytest
from conftest import trainer_of
from typer.testing import CliRunner

from lookalike.cli.main import app


@pytest.fixture
def command(tiny):
    """Run a command in this process; returns exit code, output, and output without stderr."""

    def run(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output, result.stdout

    return run


def test_the_model_in_use_is_the_first_line(tiny, command):
    output = tiny / "output"
    code, before, _ = command("eval", "-c", tiny / "run.yaml")
    assert code == 0
    assert f"no trained model; none is in {output}" in before
    assert "WARNING: these parts have random weights" in before
    assert "backbone (75 of 75 tensors); neck (2 of 2 tensors)" in before
    trainer_of(tiny, "Global.epochs=1").run()
    for arguments in (
        ("-c", tiny / "run.yaml"),
        ("--model", output),
        ("--model", output / "latest"),
    ):
        code, said, _ = command("eval", *arguments)
        assert code == 0, said
        name = arguments[1].name if arguments[1].name == "latest" else "best_model"
        assert f"Model: {output}/{name} (" in said.splitlines()[0]
        assert "WARNING" not in said
    code, said, _ = command(
        "embed", "-c", tiny / "run.yaml", "-o", "Global.pretrained_model=False",
        "--out", tiny / "untrained.npz",
    )  # fmt: skip
    assert code == 0
    assert "no trained model" in said
    assert "WARNING: these parts have random weights" in said
    assert command("embed", "--model", output, "--out", tiny / "q.npz")[0] == 0


def test_metrics_alone_on_stdout_keep_the_warning_on_stderr(tiny, command):
    code, said, stdout = command("eval", "-c", tiny / "run.yaml", "--json", "-")
    assert code == 0
    assert (
        "recall1" in json.loads(stdout)["metrics"] if "metrics" in stdout else "recall1" in stdout
    )
    assert json.loads(stdout)
    assert "WARNING: these parts have random weights" in said


def test_an_untrained_model_is_exported_only_if_asked_for(tiny, command):
    export = ("export", "--no-onnx", "--images", 8, "-c", tiny / "run.yaml",
              "-o", f"Global.save_inference_dir={tiny}/inference")  # fmt: skip
    code, said, _ = command(*export)
    assert code == 6
    assert "random weights" in said
    assert "--allow-random-weights" in said
    assert not (tiny / "inference").exists()
    assert command(*export, "--allow-random-weights")[0] == 0
    assert json.loads((tiny / "inference" / "card.json").read_text())["weights"] == ""
    trainer_of(tiny, "Global.epochs=1").run()
    code, said, _ = command("export", "--no-onnx", "--images", 8, "--model", tiny / "output",
                            "-o", f"Global.save_inference_dir={tiny}/inference")  # fmt: skip
    assert code == 0, said
    card = json.loads((tiny / "inference" / "card.json").read_text())
    assert card["weights"] == f"{tiny}/output/best_model"
    embed = ("embed", "--allow-program", "--out", tiny / "e.npz", "-c", tiny / "run.yaml")
    for option in ("--model", "--exported"):
        code, said, _ = command(*embed, option, tiny / "inference")
        assert code == 0, said
        assert f"computing with {tiny}/inference/model.pt2" in said
    code, said, _ = command("eval", "-c", tiny / "run.yaml", "--model", tiny / "inference")
    assert code == 2
    assert "lookalike embed --model" in said


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("eval",), 2, "--model"),
        (("eval", "--model", "nowhere/run"), 6, "no such weight file or folder"),
        (("embed", "--out", "x.npz"), 2, "--model"),
        (("export",), 2, "--model"),
        (("eval", "--model", "x", "--query", "y.npz"), 2, "--query"),
        (("embed", "--out", "x.npz", "--model", "a", "--exported", "b"), 2, "one of them"),
    ],
)
def test_what_cannot_be_meant_is_refused(command, arguments, code, text):
    found, said, _ = command(*arguments)
    assert (found, text in said) == (code, True), said


def test_check_says_where_the_weights_come_from(tiny, command):
    code, said, _ = command("check", "-c", tiny / "run.yaml", "--json")
    assert code == 0
    assert json.loads(said)["weights"] == {
        "backbone": "random, 75 of 75 tensors",
        "neck": "random, 2 of 2 tensors",
        "head": "random, 1 of 1 tensors",
    }
