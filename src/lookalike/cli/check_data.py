"""``lookalike check --data``: look at every image of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lookalike.assembly.data_doctor import examine_data, list_data, num_files
from lookalike.assembly.load import load_run
from lookalike.data.doctor import (
    KINDS,
    CleanList,
    Diagnosis,
    Finding,
    write_clean_lists,
    write_csv,
    write_page,
)
from lookalike.data.doctor.statistics import HEAD, TAIL, SplitStatistics
from lookalike.errors import DataError
from lookalike.screen import print_result
from lookalike.training import RunLog

PAGE, TABLE = "report.html", "findings.csv"
_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


def run_data_check(
    config: str,
    overrides: Sequence[str],
    *,
    report: str | None,
    clean_list: str | None,
    workers: int | None,
    as_json: bool,
    allow_import: Sequence[str],
) -> None:
    """Examine the data of a YAML, write the report and print what matters.

    Raises:
        DataError: If anything was found that stops a run or makes its numbers wrong; after the
            report has been written.
    """
    run = load_run(config, overrides, allow_import=allow_import)
    folder = Path(report or Path(run.config.Global.output_dir) / "data_doctor")
    data = list_data(run)
    number = num_files(data)
    log = RunLog(quiet=as_json)
    with log.bar("reading images", number) as bar:
        processes = min(workers or available_cores(), max(number, 1))
        diagnosis = examine_data(run, data, workers=processes, advance=bar.advance)
    write_csv(diagnosis.findings, folder / TABLE)
    write_page(diagnosis, folder / PAGE, title=config, table=TABLE, workers=processes)
    written = write_clean_lists(data.splits, diagnosis.findings, clean_list) if clean_list else []
    if as_json:
        facts = _facts(diagnosis, folder) | {"clean_lists": [str(one.target) for one in written]}
        print_result(json.dumps(facts, indent=1))
    else:
        _show(log.console, diagnosis, data.notes, folder, written)
    errors = diagnosis.of_severity("error")
    if errors:
        raise DataError(
            f"{errors:,} error{'s' * (errors > 1)} in the data of {config}; every one is in "
            f"{folder / TABLE}."
        )


def available_cores() -> int:
    """Return the cores this process may use."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _show(
    console: Console,
    diagnosis: Diagnosis,
    notes: Sequence[str],
    folder: Path,
    written: Sequence[CleanList],
) -> None:
    for note in notes:
        console.print(f"note: {note}", markup=False)
    for split in diagnosis.statistics:
        console.print(_about(split), markup=False)
    if diagnosis.findings:
        console.print(_table(diagnosis))
    counted = ", ".join(
        f"{count:,} {name}{'s' * (count != 1)}"
        for name in ("error", "warning", "note")
        for count in [diagnosis.of_severity(name)]
    )
    console.print(f"{diagnosis.num_files:,} files read: {counted}.", markup=False)
    console.print(f"Report: {folder / PAGE}; all findings: {folder / TABLE}", markup=False)
    for one in written:
        console.print(
            f"Clean list: {one.target}, {one.num_rows - one.num_left_out:,} of "
            f"{one.num_rows:,} images of {one.source}",
            markup=False,
        )


def _table(diagnosis: Diagnosis) -> Table:
    first: dict[str, Finding] = {}
    splits: dict[str, dict[str, None]] = {}
    for finding in diagnosis.findings:
        first.setdefault(finding.kind, finding)
        splits.setdefault(finding.kind, {})[finding.split] = None
    table = Table()
    table.add_column("")
    table.add_column("found")
    table.add_column("number", justify="right")
    table.add_column("in")
    table.add_column("for example", overflow="fold")
    for kind, number in diagnosis.counts().items():
        about, one = KINDS[kind], first[kind]
        table.add_row(
            Text(about.severity, style=_STYLES[about.severity]),
            about.title,
            f"{number:,}",
            ", ".join(splits[kind]),
            Text(printable(f"{one.path}: {one.detail}" if one.path else one.detail)),
        )
    return table


def _about(one: SplitStatistics) -> str:
    few, many = int(one.per_label[0]), int(one.per_label[-1])
    return (
        f"{one.name}: {one.num_images:,} images of {one.num_labels:,} labels, {few:,} to {many:,} "
        f"each; Gini {one.gini:.2f}; {one.head[0]:,} labels of more than {HEAD} images hold "
        f"{one.head[1]:.0%}, {one.tail[0]:,} of fewer than {TAIL} hold {one.tail[1]:.0%}"
    )


def _facts(diagnosis: Diagnosis, folder: Path) -> dict[str, object]:
    return {
        "files": diagnosis.num_files,
        "errors": diagnosis.of_severity("error"),
        "warnings": diagnosis.of_severity("warning"),
        "notes": diagnosis.of_severity("note"),
        "found": diagnosis.counts(),
        "report": str(folder / PAGE),
        "table": str(folder / TABLE),
        "splits": {
            one.name: {
                "images": one.num_images,
                "labels": one.num_labels,
                "gini": round(one.gini, 4),
            }
            for one in diagnosis.statistics
        },
    }


def printable(text: str) -> str:
    r"""Show control characters of a stranger's file name, instead of obeying them.

    Example:
        >>> printable("a\x1b[2Jb")
        'a\\x1b[2Jb'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
