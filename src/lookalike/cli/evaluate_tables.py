"""``lookalike eval --query Q --gallery G``: from tables to numbers."""

from __future__ import annotations

import json
import os
import posixpath
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table as Grid

from lookalike.cli.byte_curve import show_curve
from lookalike.durable import write_whole
from lookalike.errors import ConfigError, DataError, cut, presentable
from lookalike.inference.table_files import load_table
from lookalike.retrieval.protocols import protocol_by_name
from lookalike.retrieval.rules import Rules
from lookalike.retrieval.table_scores import Scores, score_tables, sliced
from lookalike.screen import print_result
from lookalike.table_parts import repeated
from lookalike.types import EmbeddingTable

DEFAULT_METRICS = ("recall@1", "recall@5", "mAP", "mINP")
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@dataclass(frozen=True)
class TableOptions:
    """How tables are compared, as the command line has it."""

    metrics: Sequence[str]
    protocol: str | None
    rules: Rules


def run_table_evaluation(
    query: str,
    gallery: str | None,
    options: TableOptions,
    *,
    json_file: str | None,
    slice_by: str | None,
    explain: bool,
    curve: str | None,
) -> None:
    """Score a table of queries against a gallery."""
    if slice_by not in (None, "camera", "label"):
        raise ConfigError(f"--slice is camera or label, got '{slice_by}'.")
    tables, same = load_pair(query, gallery)
    names, rules, said = chosen_rules(options, *tables, same)
    tables = without_junk(tables, rules, shown=json_file != "-")
    if explain:
        _explain(*tables, rules)
        return
    if curve is not None:
        points = show_curve(*tables, names, rules, curve, shown=json_file != "-")
        if json_file != "-":
            say(f"Drew {curve}")
        if json_file is not None:
            write_json(json_file, points)
        return
    scores = score_tables(*tables, names, rules)
    if json_file != "-":
        _show(scores, said)
    content: dict[str, Any] = scores.as_json()
    if slice_by is not None:
        content["slices"] = _slices(scores, tables[0], slice_by, shown=json_file != "-")
    if json_file is not None:
        write_json(json_file, content)


def load_pair(
    query: str, gallery: str | None
) -> tuple[tuple[EmbeddingTable, EmbeddingTable], bool]:
    """Read two tables, or one that is both; tell which. Report ids that occur twice."""
    queries = load_table(query)
    _report_repeated(query, queries)
    if gallery is None or _same_file(query, gallery):
        return (queries, queries), True
    items = load_table(gallery)
    _report_repeated(gallery, items)
    marks = {table.fingerprint for table in (queries, items)} - {""}
    if len(marks) > 1:
        raise DataError(
            f"{query} and {gallery} were made by different weights ({', '.join(sorted(marks))}); "
            "embed both with one model."
        )
    if _equal(queries, items):
        return (queries, queries), True
    return (queries, items), _share_images(queries, items)


def without_junk(
    tables: tuple[EmbeddingTable, EmbeddingTable], rules: Rules, *, shown: bool = True
) -> tuple[EmbeddingTable, EmbeddingTable]:
    """Return the rows that are compared; say how many are left out."""
    compared = rules.selected(*tables)
    junk = [len(before) - len(after) for before, after in zip(tables, compared, strict=True)]
    if shown and any(junk):
        say(f"Left out as junk (label -1): {junk[0]:,} queries, {junk[1]:,} of the gallery.")
    return compared


def _share_images(first: EmbeddingTable, second: EmbeddingTable) -> bool:
    """Return whether an image is in both tables, where these know their images."""
    if first.images is None or second.images is None:
        return False
    return bool(torch.isin(first.images, second.images).any())


def _report_repeated(file: str, table: EmbeddingTable) -> None:
    """Say on the error stream which ids occur more than once, as paths."""
    paths = [posixpath.normpath(one) for one in table.ids]
    twice = repeated(paths)
    if twice:
        name, times = next(iter(twice.items()))
        rows = [row for row, one in enumerate(paths) if one == name][:2]
        used = "Rows of one id are taken for one image." if table.images is None else ""
        note = (
            f"note: {file}: {len(twice):,} of the ids occur more than once, the first of them, "
            f"{cut(name)}, {times} times (rows {rows[0]} and {rows[1]}). {used}"
        )
        print(presentable(note), file=sys.stderr)  # noqa: T201


def _same_file(first: str, second: str) -> bool:
    try:
        return os.path.samefile(first, second)
    except OSError:  # reading it says why
        return False


def _equal(first: EmbeddingTable, second: EmbeddingTable) -> bool:
    """Tell whether two files hold one table, so that a query's own image is in the gallery."""
    return (
        first.ids == second.ids
        and torch.equal(first.labels, second.labels)
        and torch.equal(first.embeddings, second.embeddings)
    )


def chosen_rules(
    options: TableOptions, query: EmbeddingTable, gallery: EmbeddingTable, same: bool
) -> tuple[list[str], Rules, str]:
    """Return the metrics, the rules and what they are called."""
    if options.protocol is not None:
        protocol = protocol_by_name(options.protocol)
        rules = replace(
            options.rules,
            cameras=protocol.excludes == "camera",
            own_images=protocol.excludes == "self" or (same and not protocol.num_galleries),
            junk=protocol.junk,
            num_galleries=protocol.num_galleries,
        )
        return list(options.metrics or protocol.metrics), rules, f"protocol {protocol.name}"
    cameras = query.cameras is not None and gallery.cameras is not None
    rules = replace(options.rules, cameras=cameras, own_images=same)
    parts = ["items with the query's label and camera are removed"] if cameras else []
    parts += ["the query's own image is removed"] if same else []
    return list(options.metrics or DEFAULT_METRICS), rules, "; ".join(parts) or "whole gallery"


def read_bytes(text: str, option: str = "--memory") -> int:
    """Read an amount of memory such as ``2GB`` or ``500M``.

    Raises:
        ConfigError: If it is none.

    Example:
        >>> read_bytes("2GB"), read_bytes("1.5 M")
        (2000000000, 1500000)
    """
    match = re.fullmatch(r"\s*([0-9.]+)\s*([KMGT]?)i?B?\s*", text, re.I)
    try:
        amount = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    except (ValueError, OverflowError):
        amount = 0
    if not 0 < amount < 2**63:
        raise ConfigError(f"{option} takes an amount such as 2GB or 500MB, got {cut(text)}.")
    return amount


def _show(scores: Scores, said: str) -> None:
    grid = Grid(box=None, pad_edge=False)
    for title in ("metric", "value", "95% interval"):
        grid.add_column(title, justify="left" if title == "metric" else "right")
    for name, value in scores.values.items():
        bounds = scores.intervals.get(name)
        spread = "" if bounds is None else f"{bounds[0]:.5f} to {bounds[1]:.5f}"
        grid.add_row(name, f"{value:.5f}", spread)
    Console(highlight=False).print(grid)
    skipped = scores.num_queries - scores.num_answerable
    left_out = f", {skipped:,} of them without a match" if skipped else ""
    say(f"{scores.num_queries:,} queries{left_out}; gallery of {scores.num_gallery:,}; {said}")


def _slices(
    scores: Scores, query: EmbeddingTable, by: str, *, shown: bool
) -> dict[str, dict[str, float]]:
    groups = query.cameras if by == "camera" else query.labels
    if groups is None:
        raise DataError("the query table has no cameras to slice by.")
    names = query.camera_names if by == "camera" else query.class_names
    found = {
        str(group) if names is None else names[group]: values
        for group, values in sliced(scores, groups).items()
    }
    if shown:
        _show_slices(found, by, list(scores.per_query))
    return found


def _show_slices(found: dict[str, dict[str, float]], by: str, names: Sequence[str]) -> None:
    grid = Grid(by, *names, box=None, pad_edge=False)
    worst = sorted(found.items(), key=lambda item: next(iter(item[1].values()), 0.0))
    for group, values in worst[:20]:
        grid.add_row(group, *(f"{values[n]:.5f}" if n in values else "-" for n in names))
    say(f"\nThe worst of {len(found)} by {by}:")
    Console(highlight=False).print(grid)


def _explain(query: EmbeddingTable, gallery: EmbeddingTable, rules: Rules) -> None:
    from lookalike.retrieval.explain import (
        paddleclas_readings,
        rank_for_explanation,
        readings,
    )

    ranks, positive = rank_for_explanation(query, gallery, rules)
    grid = Grid("metric", "as defined by", "value", "which does", box=None, pad_edge=False)
    rows = readings(ranks, positive) + paddleclas_readings(query, gallery, rules)
    for one in sorted(rows, key=lambda reading: reading.metric.lower()):
        grid.add_row(one.metric, one.system, f"{one.value:.5f}", one.why)
    Console(highlight=False).print(grid)
    alone = int((ranks.counts == 0).sum())
    say(f"{len(ranks.counts):,} queries, {alone:,} of them without a relevant item.")


def write_json(json_file: str, content: dict[str, Any] | list[dict[str, Any]]) -> None:
    """Write to a file, or print for ``-``."""
    text = json.dumps(content, indent=1)
    if json_file == "-":
        print_result(text)
        return
    write_whole(Path(json_file), text + "\n")


def say(text: str) -> None:
    """Print a line."""
    print(text)  # noqa: T201
