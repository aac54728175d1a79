"""What the demo shows: bars with their intervals, and neighbours before and after training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes

from lookalike import EmbeddingTable, decode_image, nearest_neighbours

RIGHT, WRONG, GREY = "#2a9d55", "#c8443c", "#9a9a9a"
COLOURS = ("#b9c4d0", "#7f9cc0", "#2f5d9b")
QUERIES, NEIGHBOURS = 8, 5


def draw_comparison(
    summary: Mapping[str, Mapping[str, Any]],
    titles: Mapping[str, str],
    metrics: Path,
    path: Path,
) -> None:
    """Draw the three rows as bars, and the loss beside them."""
    figure, (bars, curve) = plt.subplots(1, 2, figsize=(11, 4), width_ratios=(3, 2))
    for place, (key, title) in enumerate(titles.items()):
        row = summary[key]
        for group, name in enumerate(("recall1", "mAP")):
            value = 100 * row[name]
            low, high = (100 * bound for bound in row[f"{name}_interval"])
            at = group * 4 + place
            label = title if group == 0 else None
            bars.bar(at, value, width=0.9, color=COLOURS[place], label=label)
            bars.errorbar(at, value, [[value - low], [high - value]], color="#333", capsize=3)
            bars.text(at, high + 1, f"{value:.1f}", ha="center")
    bars.set_xticks([1, 5], ["Recall@1", "mAP"])
    bars.set_ylabel("percent, with 95 % interval")
    bars.set_ylim(0, 100 * max(row["recall1_interval"][1] for row in summary.values()) + 22)
    bars.legend(frameon=False, loc="upper left")
    bars.set_title("Held-out emoji, found across drawing hands")
    records = [json.loads(line) for line in metrics.read_text().splitlines()]
    train = [record for record in records if record["kind"] == "train"]
    curve.plot([r["step"] for r in train], [r["loss"] for r in train], color=COLOURS[2], marker=".")
    curve.set_xlabel("step")
    curve.set_title("Training loss, mean since the epoch began")
    for axes in (bars, curve):
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw_neighbours(before: Path, after: Path, images: Path, path: Path) -> None:
    """Draw some queries with their nearest drawings before and after training."""
    tables = [EmbeddingTable.load(folder / "query.npz") for folder in (before, after)]
    labels, names = tables[0].labels, tables[0].ids
    ranked = [neighbours(table) for table in tables]
    chosen = choose_queries(tables[0])
    columns = 2 * (NEIGHBOURS + 1) + 1
    figure, grid = plt.subplots(
        len(chosen), columns, figsize=(0.85 * columns, 0.95 * len(chosen) + 0.6)
    )
    for axes in grid.flat:
        axes.axis("off")
    for row, query in enumerate(chosen):
        for side, rows in enumerate(ranked):
            start = side * (NEIGHBOURS + 2)
            show_image(grid[row, start], images / names[query], GREY)
            for rank in range(NEIGHBOURS):
                item = int(rows[query, rank])
                same = bool(labels[item] == labels[query])
                frame = RIGHT if same else WRONG
                show_image(grid[row, start + 1 + rank], images / names[item], frame)
    figure.suptitle(
        "Query (grey) and its nearest drawings by any hand: before training (left) and after"
        " (right). Green: the same emoji.",
        fontsize=10,
    )
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.92, 0.08, 0.08)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def neighbours(table: EmbeddingTable) -> torch.Tensor:
    """Return the rows of each drawing's nearest others."""
    itself = torch.arange(len(table))
    return nearest_neighbours(table.embeddings, table.embeddings, NEIGHBOURS, exclude=itself)[1]


def choose_queries(table: EmbeddingTable) -> list[int]:
    """Return a fair sample: every n-th query, whether training helped it or not."""
    step = max(1, len(table) // QUERIES)
    return list(range(step // 2, len(table), step))[:QUERIES]


def show_image(axes: Axes, path: Path, colour: str) -> None:
    """Draw one picture in a frame."""
    axes.imshow(decode_image(path.read_bytes()))
    axes.axis("on")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=2.5)
