"""``lookalike convert``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lookalike.assembly.convert import convert
from lookalike.assembly.load import load_run


def run_convert(
    source: str,
    config: str,
    target: str,
    overrides: Sequence[str],
    *,
    allow_import: Sequence[str],
    allow_missing: Sequence[str],
) -> None:
    """Convert a weight file, and print what was loaded."""
    run = load_run(config, overrides, allow_import=allow_import, training=False)
    notes: list[str] = []
    report = convert(run, source, Path(target), allow_missing=allow_missing, notes=notes)
    print(report.table())  # noqa: T201
    for note in notes:
        print(f"note: {note}")  # noqa: T201
    print(f"Wrote {target}")  # noqa: T201
