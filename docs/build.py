"""Run the code of the documentation and write ``docs/components.md`` from the docstrings.

``python docs/build.py`` does both; ``--check`` only tells whether the page is up to date.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from lookalike.assembly.catalog import CATALOG
from lookalike.assembly.dialect import their_names
from lookalike.assembly.prepare import RUNTIME
from lookalike.assembly.signatures import signature_of
from lookalike.cli.list_components import plural
from lookalike.paddleclas.words import WORDS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "components.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)


def code_blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Yield (code, expected output) of the python blocks; a text block behind one is its output."""
    blocks = _BLOCK.findall(page.read_text(encoding="utf-8"))
    for index, (language, text) in enumerate(blocks):
        if language == "python":
            following = blocks[index + 1] if index + 1 < len(blocks) else ("", "")
            yield text, following[1] if following[0] == "text" else ""


def pages() -> list[Path]:
    """Return every page whose code must run."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def run_block(code: str) -> str:
    """Execute a block in a namespace of its own and return what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {"__name__": "__main__"})  # noqa: S102 - our own documentation
    return printed.getvalue()


def components_page() -> str:
    """Return the page that lists every component."""
    parts = [
        "# Components",
        "",
        "Generated from the docstrings by `make docs`. A YAML may use either name; where an",
        "argument is called differently in PaddleClas, its word stands behind ours.",
        "",
        "Beside these, any model of timm and torchvision is a backbone, and any transform of",
        "`torchvision.transforms.v2` is a transform under the name `v2.Name`.",
    ]
    for kind, rows in CATALOG.items():
        title = plural(kind)
        parts += ["", f"## {title.capitalize()}"]
        for name, path in rows.items():
            parts += ["", *_component(kind, name, path)]
    return "\n".join(parts) + "\n"


def _component(kind: str, name: str, path: str) -> list[str]:
    module, _, attribute = path.partition(":")
    target: Callable[..., Any] = getattr(import_module(module), attribute)
    doc = inspect.cleandoc(target.__doc__ or "")
    words = their_names(kind).get(name, [])
    title = f"### {name}" + (f" (PaddleClas: {', '.join(words)})" if words else "")
    head = doc.split("\n\nArgs:")[0].split("\n\nShape:")[0].split("\n\nExample:")[0]
    head = head.split("\n\nRaises:")[0].split("\n\nReturns:")[0]
    lines = [title, "", re.sub(r"``", "`", head)]
    arguments = _arguments(doc)
    theirs = _their_words(kind, name)
    given = RUNTIME.get(kind, ())  # by the program, never in a YAML
    shown = {key: text for key, text in arguments.items() if key not in given}
    if shown:
        lines += ["", "| argument | meaning |", "|---|---|"]
        for key, text in shown.items():
            other = f" ({theirs[key]})" if key in theirs else ""
            lines.append(f"| `{key}`{other} | {re.sub('``', '`', text)} |")
    return lines


def _arguments(doc: str) -> dict[str, str]:
    """Read the Args section of a docstring."""
    if "Args:\n" not in doc:
        return {}
    section = re.split(r"\n\n(?=\S)", doc.split("Args:\n", 1)[1])[0]
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if match := re.match(r"    (\*{0,2}\w+): (.*)", line):
            name = match[1]
            found[name] = match[2]
        elif name:
            found[name] += " " + line.strip()
    return found


def _their_words(kind: str, name: str) -> dict[str, str]:
    """Return our argument to PaddleClas's word for it."""
    words: dict[str, str] = {}
    for theirs, row in WORDS.get(kind, {}).items():
        if (row.name or theirs) == name:
            words |= {ours: f"`{word}`" for word, ours in row.words.items()}
    return words


def undocumented(kind: str, name: str, path: str) -> set[str]:
    """Return arguments that the docstring does not name, or names though they do not exist."""
    module, _, attribute = path.partition(":")
    target = getattr(import_module(module), attribute)
    documented = {key.lstrip("*") for key in _arguments(inspect.cleandoc(target.__doc__ or ""))}
    taken = set(signature_of(target).types) - {"epochs", "steps_per_epoch"}
    timing = {"warmup_epochs", "warmup_start", "by_epoch", "last_epoch"}
    if kind == "schedule":
        taken -= timing
        documented -= {"timing"}
    return taken ^ (documented - {"kwargs"})


def main() -> None:
    """Run the code, then write or check the page."""
    for page in pages():
        for number, (code, expected) in enumerate(code_blocks(page), start=1):
            printed = run_block(code)
            if expected and printed.strip() != expected.strip():
                sys.exit(f"{page}: block {number} printed\n{printed}\ninstead of\n{expected}")
    page = components_page()
    if "--check" in sys.argv:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page:
            sys.exit(f"{PAGE} is out of date; run make docs")
        return
    PAGE.write_text(page, encoding="utf-8")
    print(f"Wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
