"""Lists without the images that no run should use, in the format of the lists given."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookalike.data.doctor.findings import Finding
from lookalike.data.doctor.kinds import LEFT_OUT
from lookalike.data.doctor.splits import ListedSplit
from lookalike.data.label_files import lines_of
from lookalike.durable import whole_file
from lookalike.errors import DataError, SetupError

_TABLES = (".csv", ".tsv")


@dataclass(frozen=True)
class CleanList:
    """A list that has been written.

    Attributes:
        source: The list it was made from.
        target: Where it is.
        num_rows: Images of the source.
        num_left_out: Those that are not in it.
    """

    source: str
    target: Path
    num_rows: int
    num_left_out: int


def write_clean_lists(
    splits: Sequence[ListedSplit], findings: Sequence[Finding], target: str | Path
) -> list[CleanList]:
    """Write every list anew without the lines of broken images and of images with two labels.

    Left out are lines with a finding of a kind in ``LEFT_OUT``; of an image with two labels every
    line goes, since nobody can know which is right. All other lines, with their line ends, blank
    lines and headers, stay byte for byte as they are.

    Args:
        splits: Whose lists.
        findings: Of any kind.
        target: A file, if there is one list; else a folder, in which each list keeps its name, or
            gets the split's in front where two lists have one name.

    Raises:
        DataError: If there is no list, no image of a list would be left, or the target is one of
            the lists.
        SetupError: If it cannot be written.
    """
    rows: dict[str, dict[int, str]] = {}
    owners: dict[str, str] = {}
    for split in splits:
        for source, line, path in zip(split.sources, split.lines, split.paths, strict=True):
            if source:
                rows.setdefault(source, {})[line] = path
                owners.setdefault(source, split.name)
    if not rows:
        raise DataError(
            f"{target}: no split has a list that could be cleaned; of a data set made of folders, "
            "move the files away that findings.csv names."
        )
    bad: dict[str, set[int]] = {source: set() for source in rows}
    for finding in findings:
        if finding.kind in LEFT_OUT and finding.source in bad:
            bad[finding.source].add(finding.line)
    targets = _targets(owners, Path(target))
    for source, own in rows.items():
        if len(bad[source]) == len(own):
            raise DataError(f"{source}: every image would be left out; no clean list is written.")
    return [_write(source, targets[source], own, bad[source]) for source, own in rows.items()]


def _targets(owners: Mapping[str, str], target: Path) -> dict[str, Path]:
    is_file = target.is_file() or (target.suffix != "" and not target.is_dir())
    if is_file and len(owners) > 1:
        raise DataError(
            f"{target}: names one file, and there are {len(owners)} lists ("
            f"{', '.join(owners)}); give a folder."
        )
    names = [Path(source).name for source in owners]
    targets = {
        source: target
        if is_file
        else target / (name if names.count(name) == 1 else f"{owners[source]}_{name}")
        for source, name in zip(owners, names, strict=True)
    }
    for path in targets.values():
        for source in owners:
            if path.exists() and os.path.samefile(path, source):
                raise DataError(
                    f"{path}: is the list {source} itself, which is never overwritten; "
                    "give another place."
                )
    return targets


def _write(source: str, target: Path, rows: Mapping[int, str], bad: set[int]) -> CleanList:
    with whole_file(target) as unfinished:
        if Path(source).suffix.lower() == ".parquet":
            _write_parquet(source, unfinished, bad)
        else:
            _write_text(source, unfinished, rows, bad)
    return CleanList(source, target, len(rows), len(bad))


def _write_text(source: str, target: Path, rows: Mapping[int, str], bad: set[int]) -> None:
    text = Path(source).read_bytes().decode("utf-8")
    # as the readers count lines: the one of tables through the csv module
    table = Path(source).suffix.lower() in _TABLES
    lines = list(io.StringIO(text, newline="")) if table else lines_of(text, keepends=True)
    dropped: set[int] = set()
    previous = 0
    for line in sorted(rows):
        if line in bad:
            first = _first_line(lines, line, previous)
            dropped.update(range(first, line + 1))
            whole = "".join(lines[first - 1 : line])
            if rows[line] not in whole.replace('""', '"') and rows[line] not in whole:
                raise DataError(f"{source}:{line}: has changed while the images were read.")
        previous = line
    kept = [text for number, text in enumerate(lines, start=1) if number not in dropped]
    target.write_bytes("".join(kept).encode("utf-8"))


def _first_line(lines: Sequence[str], last: int, previous: int) -> int:
    """Return where a row of a table begins whose quoted cell holds line ends."""
    first = last
    while first - 1 > previous and "".join(lines[first - 1 : last]).count('"') % 2:
        first -= 1
    return first


def _write_parquet(source: str, target: Path, bad: set[int]) -> None:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise SetupError(f"{source}: Parquet needs the package: pip install pyarrow") from error
    table: Any = parquet.read_table(source)
    kept = [number + 1 not in bad for number in range(table.num_rows)]
    parquet.write_table(table.filter(pyarrow.array(kept)), target)
