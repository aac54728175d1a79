"""``lookalike eval --curve``: what smaller forms of the embeddings would still find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as Grid

from lookalike.durable import whole_file
from lookalike.errors import ConfigError
from lookalike.retrieval.byte_curve import CurvePoint, recall_per_byte
from lookalike.retrieval.metric_names import metric_by_name, threshold_metric
from lookalike.retrieval.rules import Rules
from lookalike.types import EmbeddingTable

PICTURES = (".png", ".svg", ".pdf")


def show_curve(
    query: EmbeddingTable,
    gallery: EmbeddingTable,
    names: Sequence[str],
    rules: Rules,
    picture: str,
    *,
    shown: bool,
) -> list[dict[str, Any]]:
    """Score the forms at the whole width, its half, quarter and eighth; draw and print them.

    Returns:
        The points, for JSON.

    Raises:
        ConfigError: If the picture has another suffix, or an option does not go with codes.
    """
    _check(names, rules, picture)
    query, gallery = rules.selected(query, gallery)
    width = gallery.embeddings.shape[1]
    points = recall_per_byte(
        query if rules.cameras else replace(query, cameras=None),
        gallery,
        [metric_by_name(name, rules.ties) for name in names],
        widths=[width >> shift for shift in range(4) if width >> shift],
        same_images=rules.own_images,
    )
    if shown:
        _print(points)
    with whole_file(Path(picture)) as unfinished:
        _draw(points, names[0], unfinished)
    return [vars(point) for point in points]


def _check(names: Sequence[str], rules: Rules, picture: str) -> None:
    if Path(picture).suffix not in PICTURES:
        raise ConfigError(f"--curve {picture}: a picture ends in {', '.join(PICTURES)}.")
    unfit = {
        "a protocol with random galleries": bool(rules.num_galleries),
        "--no-normalize": not rules.normalize,
        "--binarize": rules.binarize is not None,
        "--augment": rules.augment > 1,
        "--expand": rules.expand > 1,
        "--re-rank": rules.re_rank,
        "a metric against a threshold": any(threshold_metric(name) for name in names),
    }
    if given := [name for name, is_given in unfit.items() if is_given]:
        raise ConfigError(f"--curve compares codes by cosine; leave out {', '.join(given)}.")


def _print(points: Sequence[CurvePoint]) -> None:
    grid = Grid("form", "width", "query", "bytes", *points[0].values, box=None, pad_edge=False)
    for point in points:
        values = (f"{value:.5f}" for value in point.values.values())
        query = point.form if point.query == "same" else point.query
        grid.add_row(point.form, f"{point.width}", query, f"{point.bytes_each:,}", *values)
    Console(highlight=False).print(grid)


def _draw(points: Sequence[CurvePoint], title: str, path: Path) -> None:
    from matplotlib.figure import Figure

    name = next(iter(points[0].values))
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for form, kind in dict.fromkeys((point.form, point.query) for point in points):
        own = [point for point in points if (point.form, point.query) == (form, kind)]
        label = form if kind == "same" else f"{form}, float32 queries"
        style = "o-" if kind == "same" else "o--"
        values = [100 * point.values[name] for point in own]
        axes.plot([point.bytes_each for point in own], values, style, label=label)
    axes.set_xscale("log", base=2)
    axes.set_xlabel("bytes of a gallery image (width D, D/2, D/4, D/8)")
    axes.set_xticks(amounts := sorted({point.bytes_each for point in points}), map(str, amounts))
    axes.minorticks_off()
    axes.set_ylabel(f"{title} %")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=130)
