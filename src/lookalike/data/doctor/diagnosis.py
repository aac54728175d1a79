"""Splits and the facts of their files to everything that is found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lookalike.data.doctor.copies import find_copies
from lookalike.data.doctor.fact_table import FactTable
from lookalike.data.doctor.findings import Finding
from lookalike.data.doctor.image_faults import find_image_faults
from lookalike.data.doctor.kinds import KINDS, SEVERITIES
from lookalike.data.doctor.label_faults import find_label_faults
from lookalike.data.doctor.splits import AllRows
from lookalike.data.doctor.statistics import SplitStatistics, split_statistics


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor says.

    Attributes:
        findings: Errors first, then in the order of ``KINDS``, then in the order of the lists.
        statistics: Of each split.
        num_files: Files that were looked at.
    """

    findings: Sequence[Finding]
    statistics: Sequence[SplitStatistics]
    num_files: int

    def counts(self) -> dict[str, int]:
        """Return how many findings there are of each kind."""
        found = Counter(finding.kind for finding in self.findings)
        return {kind: found[kind] for kind in KINDS if kind in found}

    def of_severity(self, severity: str) -> int:
        """Return how many findings are that serious."""
        return sum(1 for finding in self.findings if finding.severity == severity)


def diagnose(
    rows: AllRows,
    facts: FactTable,
    *,
    num_classes: int | None = None,
    input_size: tuple[int, int] = (1, 1),
    shared_labels: bool = False,
    more: Sequence[Finding] = (),
) -> Diagnosis:
    """Find everything that the lists and the files tell.

    Args:
        rows: Of all splits.
        facts: Of their files.
        num_classes: Outputs of the head; None without one.
        input_size: Height and width that the network is given.
        shared_labels: Training and evaluation number the same classes.
        more: Found elsewhere.
    """
    findings = [
        *more,
        *find_image_faults(rows, facts, input_size=input_size),
        *find_copies(rows, facts, shared_labels=shared_labels),
        *find_label_faults(rows.splits, num_classes=num_classes, shared_labels=shared_labels),
    ]
    order = {kind: number for number, kind in enumerate(KINDS)}
    names = {split.name: number for number, split in enumerate(rows.splits)}
    findings.sort(
        key=lambda one: (
            SEVERITIES.index(one.severity),
            order[one.kind],
            names.get(one.split, -1),
            one.source,
            one.line,
        )
    )
    return Diagnosis(findings, split_statistics(rows, facts), len(rows.files))
