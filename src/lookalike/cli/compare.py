"""``lookalike compare A B``: is one of two models better, or is it noise?"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table as Grid

from lookalike.cli.evaluate_tables import (
    TableOptions,
    chosen_rules,
    load_pair,
    say,
    without_junk,
    write_json,
)
from lookalike.errors import ConfigError, DataError
from lookalike.retrieval.comparison import Difference, paired_difference, verdicts
from lookalike.retrieval.table_scores import Scores, score_tables
from lookalike.types import EmbeddingTable


def run_comparison(
    first: str, second: str, options: TableOptions, *, json_file: str | None
) -> None:
    """Compare two models by their tables; name a winner only outside the noise."""
    scored = []
    for source in (first, second):
        tables, same = load_pair(*_pair_in(source))
        names, rules, said = chosen_rules(options, *tables, same)
        tables = without_junk(tables, rules, shown=json_file != "-")
        scored.append((tables[0], score_tables(*tables, names, rules)))
    differences = _differences(*scored[0], *scored[1], names)
    told = verdicts(differences)
    if json_file != "-":
        _show_comparison(differences, told, said)
    if json_file is not None:
        rows = {
            name: {**vars(one), "interval": list(one.interval), "verdict": told[name]}
            for name, one in differences.items()
        }
        write_json(json_file, rows)


def _pair_in(source: str) -> tuple[str, str | None]:
    """Return the tables that a path means: a table, or a folder with query.npz and gallery.npz."""
    path = Path(source)
    if not os.path.isdir(source):  # noqa: PTH112 - Path.is_dir raises for a name that is too long
        return source, None
    if not (path / "query.npz").is_file():
        raise DataError(
            f"{source}: no query.npz in this folder; lookalike eval --tables writes it."
        )
    gallery = path / "gallery.npz"
    return str(path / "query.npz"), str(gallery) if gallery.is_file() else None


def _differences(
    first_table: EmbeddingTable,
    first: Scores,
    second_table: EmbeddingTable,
    second: Scores,
    names: Sequence[str],
) -> dict[str, Difference]:
    """Pair the queries of two evaluations by their ids, those of one id in their order."""
    place = {name: row for row, name in enumerate(_numbered(second_table.ids))}
    names_of_first = enumerate(_numbered(first_table.ids))
    shared = [(row, place[name]) for row, name in names_of_first if name in place]
    if len(shared) < len(first_table) or len(place) > len(shared):
        raise DataError(
            f"the two have {len(first_table):,} and {len(second_table):,} queries, {len(shared):,} "
            "of them in common; a paired test needs the same queries."
        )
    rows, others = (torch.tensor(column) for column in zip(*shared, strict=True))
    labels = first_table.labels[rows]
    found = {}
    for name in names:
        if name not in first.per_query:
            raise ConfigError(f"'{name}' has no value per query, so it cannot be compared.")
        found[name] = paired_difference(
            first.per_query[name][rows], second.per_query[name][others], labels
        )
    return found


def _numbered(ids: Sequence[str]) -> list[tuple[str, int]]:
    """Return each id with how often it has occurred before.

    Example:
        >>> _numbered(["a", "b", "a"])
        [('a', 0), ('b', 0), ('a', 1)]
    """
    seen: Counter[str] = Counter()
    found = []
    for name in ids:
        found.append((name, seen[name]))
        seen[name] += 1
    return found


def _show_comparison(differences: dict[str, Difference], told: dict[str, str], said: str) -> None:
    grid = Grid(
        "metric", "A", "B", "B - A", "95% interval", "p", "verdict", box=None, pad_edge=False
    )
    for name, one in differences.items():
        low, high = one.interval
        grid.add_row(
            name,
            f"{one.first:.5f}",
            f"{one.second:.5f}",
            f"{one.second - one.first:+.5f}",
            f"{low:+.5f} to {high:+.5f}",
            f"{one.p_value:.4f}",
            told[name],
        )
    Console(highlight=False).print(grid)
    some = next(iter(differences.values()))
    say(f"{some.num_queries:,} queries of {some.num_identities:,} identities; {said}")
