"""Bars of the ratios with their goals, and the curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.goals import Verdict, verdicts
from benchmarks.speed.plan import Topic
from benchmarks.speed.rows import Row, times
from benchmarks.speed.scale import Curve

Bar = tuple[str, tuple[float, float, float], float | None]


def bars(topic: Topic, rows: Sequence[Row]) -> list[Bar]:
    """Return label, ratio and goal of what a topic's picture shows.

    Every system beside ours in the cases that have a goal; goals of others of ours come on top.
    """
    made: list[Bar] = []
    judged = [one for one in verdicts(rows) if one.goal.topic == topic.name and one.measured]
    if topic.unit == "s":
        return [
            (one.goal.ours, (one.goal.below / one.measured[0],) * 3, 1.0)
            for one in judged
            if one.measured
        ]
    cases = dict.fromkeys(r["case"] for r in rows if r["topic"] == topic.name and r.get("goal"))
    for case in cases:
        here = [row for row in rows if (row["topic"], row["case"]) == (topic.name, case)]
        ours = next((row for row in here if row["role"] == "ours" and row["value"]), None)
        short = f"{case}: " if len(cases) > 1 else ""
        for row in here:
            found = None if ours is None or row["role"] == "ours" else times(ours, row)
            if ours is not None and found is not None:
                made.append(
                    (f"{short}{row['system']}", found, _goal(judged, case, ours, row["system"]))
                )
        made += [
            (f"{one.goal.ours} : {one.over}", one.measured, one.goal.at_least)
            for one in judged
            if one.case == case and one.measured and ours and one.goal.ours != ours["system"]
        ]
    return made


def _goal(judged: Sequence[Verdict], case: str, ours: Row, other: str) -> float | None:
    return next(
        (
            one.goal.at_least
            for one in judged
            if (one.case, one.goal.ours, one.over) == (case, ours["system"], other)
        ),
        None,
    )


def draw_ratios(topics: Sequence[Topic], rows: Sequence[Row], path: Path) -> None:
    """Draw a chart for each topic: ours over the others, with a line where the goal is."""
    shown = [(topic, found) for topic in topics if (found := bars(topic, rows))]
    if not shown:
        return
    pyplot = _pyplot()
    heights = [len(found) + 2 for _, found in shown]
    figure, axes = pyplot.subplots(
        len(shown),
        figsize=(9, 0.28 * sum(heights) + 0.5),
        height_ratios=heights,
        layout="constrained",
        squeeze=False,
    )
    for axis, (topic, found) in zip(axes[:, 0], shown, strict=True):
        _draw_bars(axis, topic, found)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _draw_bars(axis: Any, topic: Topic, found: Sequence[Bar]) -> None:
    places = list(range(len(found)))
    middles = [ratio[0] for _, ratio, _ in found]
    spread = [
        [ratio[0] - ratio[1] for _, ratio, _ in found],
        [ratio[2] - ratio[0] for _, ratio, _ in found],
    ]
    reached = ["#4a7fb5" if g is None or r[0] >= g else "#c8743c" for _, r, g in found]
    # from 1 on: to the right is faster, to the left slower
    lengths = [middle - 1.0 for middle in middles]
    axis.barh(places, lengths, left=1.0, xerr=spread, color=reached, height=0.7)
    for place, (_, _, goal) in enumerate(found):
        if goal is not None:
            axis.plot([goal, goal], [place - 0.45, place + 0.45], color="black", lw=2)
    axis.set_yticks(places, [label for label, _, _ in found], fontsize=8)
    axis.invert_yaxis()
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("")
    axis.axvline(1.0, color="black", lw=0.8)
    what = "goal : seconds" if topic.unit == "s" else "times as fast as"
    axis.set_title(f"{topic.title} ({what}; black: the goal)", fontsize=9, loc="left")


def draw_curves(curves: Sequence[Curve], path: Path) -> None:
    """Draw the seconds over the sizes, a chart for each axis."""
    groups: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves:
        groups.setdefault((curve.topic, curve.axis), []).append(curve)
    if not groups:
        return
    pyplot = _pyplot()
    columns = min(3, len(groups))
    lines = -(-len(groups) // columns)
    figure, axes = pyplot.subplots(
        lines, columns, figsize=(4 * columns, 3.2 * lines), layout="constrained", squeeze=False
    )
    for axis in axes.flat[len(groups) :]:
        axis.set_visible(False)
    for axis, ((topic, name), members) in zip(axes.flat, groups.items(), strict=False):
        for curve in members:
            sizes, seconds = zip(*curve.points, strict=True)
            axis.plot(sizes, seconds, "o-", label=f"{curve.system} ({curve.exponent:.2f})")
        axis.set(xscale="log", yscale="log", xlabel=name, ylabel=members[0].what, title=topic)
        axis.legend(fontsize=7)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
