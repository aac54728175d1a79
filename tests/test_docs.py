"""The documentation is true: its code runs, its commands work, its pages are current."""

import importlib.util
import json
import re
import shutil

import pytest
from conftest import ROOT, shell

from lookalike.assembly.catalog import CATALOG

spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
docs_build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(docs_build)

BLOCKS = [
    pytest.param(code, expected, id=f"{page.name}-{number}")
    for page in docs_build.pages()
    for number, (code, expected) in enumerate(docs_build.code_blocks(page), start=1)
]
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    for line in block.splitlines()
]


@pytest.mark.parametrize(("code", "expected"), BLOCKS)
def test_code_blocks_run_and_print_what_they_say(code, expected):
    printed = docs_build.run_block(code)
    assert not expected or printed.strip() == expected.strip()


def test_components_page_is_current():
    assert docs_build.PAGE.read_text(encoding="utf-8") == docs_build.components_page()


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, rows in CATALOG.items() for name in rows]
)
def test_docstrings_name_the_arguments_there_are(kind, name):
    assert docs_build.undocumented(kind, name, CATALOG[kind][name]) == set()


def test_both_readmes_print_the_same_commands():
    chinese = (ROOT / "README.zh.md").read_text()
    for line in COMMANDS:
        assert line in chinese


def test_links_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("examples/*/*.md")]:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.walkthrough
@pytest.mark.timeout(600)
def test_the_readmes_commands_work_as_printed(emoji):
    """In the order printed; ``make demo`` and ``make test`` have tests of their own."""
    own = [line for line in COMMANDS if line.startswith("lookalike ")]
    shutil.rmtree(ROOT / "output" / "quickstart", ignore_errors=True)
    others = [line for line in COMMANDS if line not in own]
    assert others == ["make demo", "make test"]
    for command in own:
        done = shell(command)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        assert "Traceback" not in done.stderr
    again = next(line for line in own if " train " in line and "--resume" not in line)
    done = shell(again)
    assert done.returncode == 2
    assert "--resume" in done.stderr and "--overwrite" in done.stderr
    metrics = json.loads((ROOT / "output/quickstart/metrics.json").read_text())
    # zero-shot is 0.25, the fitted neck 0.357; a taste of twelve steps goes beyond both
    assert metrics["recall1"] > 0.36


def test_make_demo_and_make_test_are_what_the_readme_says():
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^demo: .*\n\t.*demo/run\.py$", makefile, re.M)
    for command in ("make test", "make walkthrough"):
        assert command in (ROOT / ".ci" / "run").read_text()
