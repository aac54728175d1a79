"""From timed runs to rows, the dated report and the picture."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Run = dict[str, Any]
TARGETS = {
    "matrix product": "at most 1.5 times",
    "fast_reid": "at least 5 times",
    "pytorch_metric_learning": "at least 14 times",
    "open_metric_learning": "at least 14 times",
    "paddleclas_procedure": "at least 35 times",
    "torchmetrics": "at least 70 times",
}
QUIET = 0.1
"""Cores that others may use during a run that counts."""


@dataclass(frozen=True)
class Line:
    """A system's runs together; times are those of all queries.

    Attributes:
        system: Its key.
        name: With its version.
        queries: How many were run; the times are scaled from these to all.
        seconds: The median; ``fastest`` and ``slowest`` beside it.
        cpu_seconds: The median.
        peak_mb: The most.
        others: Cores that others used meanwhile, the median.
        kept: How many runs these numbers come from, of how many.
        difference: The largest from our values by metric.
    """

    system: str
    name: str
    queries: int
    seconds: float
    fastest: float
    slowest: float
    cpu_seconds: float
    peak_mb: float
    others: float
    kept: str
    difference: dict[str, float]


def line(system: str, runs: list[Run], queries: int, total: int, right: dict[str, Any]) -> Line:
    """Put the runs of a system together, the quiet ones if there are any.

    ``right`` has our values over so many queries.
    """
    scale = total / queries
    number = len(runs)
    runs = [run for run in runs if run["others"] <= QUIET] or runs
    quiet = sum(run["others"] <= QUIET for run in runs)
    times = [run["seconds"] * scale for run in runs]
    values = runs[0]["values"]
    own = right.get(str(queries), {})
    values = values.get(str(queries), values) if system == "ranks" else values
    return Line(
        system,
        f"{runs[0]['name']} {runs[0]['version']}".strip()
        + (" (with intervals)" if system == "lookalike" else ""),
        queries,
        statistics.median(times),
        min(times),
        max(times),
        statistics.median(run["cpu_seconds"] * scale for run in runs),
        max(run["peak_mb"] for run in runs),
        statistics.median(run["others"] for run in runs),
        f"{quiet} of {number}",
        {metric: abs(value - own[metric]) for metric, value in values.items() if metric in own},
    )


def rows(lines: list[Line], case: str) -> list[dict[str, Any]]:
    """Return the rows of ``benchmarks/latest.json``."""
    return [
        {
            "topic": "retrieval",
            "case": case,
            "system": one.name,
            "value": one.seconds,
            "unit": "s",
            "cpu_seconds": one.cpu_seconds,
            "peak_mb": one.peak_mb,
        }
        for one in lines
    ]


def table(lines: list[Line]) -> str:
    """Return the table of the report."""
    own = next((one.seconds for one in lines if one.system == "ranks"), float("nan"))
    out = [
        "| system | queries run | seconds for all | fastest to slowest | ours : it | goal "
        "| CPU s | peak MB | quiet runs | others' cores | largest difference of values |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in lines:
        ratio = "" if one.system == "ranks" else f"{one.seconds / own:.2f} times ours"
        if one.system == "matrix product":
            ratio = f"ours takes {own / one.seconds:.2f} times"
        out.append(
            f"| {one.name} | {one.queries} | {one.seconds:.2f} "
            f"| {one.fastest:.2f} to {one.slowest:.2f} | {ratio} "
            f"| {TARGETS.get(one.system, '')} | {one.cpu_seconds:.1f} | {one.peak_mb:.0f} "
            f"| {one.kept} | {one.others:.2f} | {_differences(one)} |"
        )
    return "\n".join(out)


def _differences(one: Line) -> str:
    if one.system in ("ranks", "matrix product"):
        return ""
    worst = max(one.difference.values(), default=0.0)
    if worst <= 1e-6:
        return f"{worst:.0e} ({', '.join(one.difference)})"
    beyond = {metric: value for metric, value in one.difference.items() if value > 1e-6}
    return "; ".join(f"**{metric} {value:.1e}**" for metric, value in beyond.items())


def fit(points: list[Run]) -> tuple[float, float, float]:
    """Return seconds per million items, R squared of the line, and the slope of the logarithms."""
    sizes = np.array([point["size"] for point in points], dtype=float)
    seconds = np.array([point["seconds"] for point in points])
    slope, start = np.polyfit(sizes, seconds, 1)
    rest = seconds - (slope * sizes + start)
    spread = max(float(((seconds - seconds.mean()) ** 2).sum()), 1e-12)
    power = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    return float(slope * 1e6), float(1.0 - (rest**2).sum() / spread), float(power)


def growth_table(points: list[Run]) -> str:
    """Return the table of the growing gallery."""
    out = [
        "| gallery | seconds | bare product of the mapped rows | ratio | microseconds an item "
        "| CPU s | private MB | others' cores |",
        "|---|---|---|---|---|---|---|---|",
    ]
    out += [
        f"| {p['size']:,} | {p['seconds']:.3f} | {p['product']:.3f} "
        f"| {p['seconds'] / p['product']:.2f} | {p['seconds'] / p['size'] * 1e6:.2f} "
        f"| {p['cpu_seconds']:.2f} | {p['private_mb']:.0f} | {p['others']:.2f} |"
        for p in points
    ]
    return "\n".join(out)


def draw(points: list[Run], path: Path, what: str) -> None:
    """Draw the time over the size of the gallery."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sizes = [point["size"] for point in points]
    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    axes.plot(sizes, [point["seconds"] for point in points], "o-", label="Lookalike")
    axes.plot(sizes, [p["product"] for p in points], "s--", label="bare matrix product")
    axes.set(xlabel="items in the mapped gallery", ylabel="seconds", title=what)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
