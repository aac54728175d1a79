"""Findings as a table for other programs."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from lookalike.data.doctor.findings import Finding
from lookalike.durable import whole_file

COLUMNS = ("severity", "kind", "split", "path", "list", "line", "detail", "other")


def write_csv(findings: Sequence[Finding], path: Path) -> None:
    """Write one row per finding.

    Raises:
        SetupError: If the file cannot be written.
    """
    with whole_file(path) as whole, open(whole, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for one in findings:
            writer.writerow(
                (
                    one.severity,
                    one.kind,
                    one.split,
                    one.path,
                    one.source,
                    one.line or "",
                    one.detail,
                    one.other,
                )
            )
