"""``lookalike list`` and the other small commands."""

import pytest
from typer.testing import CliRunner

from lookalike import __version__
from lookalike.assembly.catalog import CATALOG
from lookalike.cli.list_components import plural
from lookalike.cli.main import app


def run(*args):
    return CliRunner().invoke(app, list(args), env={"COLUMNS": "80"})


@pytest.mark.parametrize("kind", CATALOG)
def test_every_component_is_listed_in_full(kind):
    done = run("list", plural(kind))
    assert done.exit_code == 0, done.output
    for name in CATALOG[kind]:
        assert name in done.output


def test_the_reference_names_are_listed():
    done = run("list", "losses")
    assert "CELoss" in done.output
    assert "SupConLoss" in done.output


def test_kinds_are_listed_and_misspelt_ones_corrected(capsys):
    assert "backbones" in run("list").output
    done = run("list", "lossses")
    assert done.exit_code == 2


def test_version():
    assert run("version").output.strip() == __version__
