"""Errors and interruptions become exit codes, in each command."""

from importlib import import_module

import pytest
from test_flags import COMMANDS
from typer.testing import CliRunner

from lookalike.cli.guard import guarded
from lookalike.cli.main import app
from lookalike.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DivergedError,
    ExportError,
    Interrupted,
    LookalikeError,
    Problem,
    SetupError,
)


def told():
    error = DataError("of another process")
    error.told = True
    return error


def fails_in(command, error, monkeypatch, *more):
    arguments, place, _ = COMMANDS[command]
    module, name = place.split(":")

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(import_module(f"lookalike.cli.{module}"), name, fail)
    result = CliRunner().invoke(app, [*arguments, *more])
    assert isinstance(result.exception, SystemExit)
    return result


@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_exits_with_130_in_each_command(command, monkeypatch):
    result = fails_in(command, KeyboardInterrupt(), monkeypatch)
    assert result.exit_code == 130
    assert result.output.strip() == "Stopped."


@pytest.mark.parametrize("command", COMMANDS)
def test_a_data_error_exits_with_3_in_each_command(command, monkeypatch):
    result = fails_in(command, DataError("no image"), monkeypatch)
    assert (result.exit_code, result.output.strip()) == (3, "error: no image")
    if command != "list":
        shown = fails_in(command, DataError("no image"), monkeypatch, "--debug")
        assert "Traceback" in shown.output


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ConfigError([Problem("a.b", "is wrong")]), 2, "1 problem found; nothing was started."),
        (ConfigError([Problem("a", "x"), Problem("b", "y")]), 2, "2 problems found"),
        (DataError("d"), 3, "error: d"),
        (SetupError("s"), 4, "error: s"),
        (DivergedError("v"), 5, "error: v"),
        (CheckpointError("c"), 6, "error: c"),
        (ExportError("e"), 7, "error: e"),
        (Interrupted("Stopped by SIGTERM.", exit_code=75), 75, "Stopped by SIGTERM."),
        (Interrupted("Stopped by SIGINT.", exit_code=130), 130, "Stopped by SIGINT."),
        (KeyboardInterrupt(), 130, "Stopped."),
        (told(), 3, ""),
        (ZeroDivisionError("by design"), 1, "error: ZeroDivisionError: by design\nThis is a bug"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_error_has_its_exit_code_and_its_message(error, code, words, capsys):
    with pytest.raises(SystemExit) as caught, guarded(debug=False):
        raise error
    assert caught.value.code == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert words in printed.err
    assert bool(printed.err) is bool(words)
    assert "Traceback" not in printed.err


@pytest.mark.parametrize("error", [DataError("d"), ZeroDivisionError("z")])
def test_debug_shows_where_an_error_was_raised(error, capsys):
    with pytest.raises(SystemExit), guarded(debug=True):
        raise error
    assert "Traceback" in capsys.readouterr().err


def test_exit_codes_are_those_of_the_readme():
    codes = {kind.__name__: kind.exit_code for kind in LookalikeError.__subclasses__()}
    assert codes["ConfigError"] == 2
    assert set(codes.values()) <= {1, 2, 3, 4, 5, 6, 7}
    with guarded(debug=False):
        pass  # nothing is raised, nothing is ended
