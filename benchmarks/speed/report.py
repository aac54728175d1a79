"""The dated report: goals, a table of every case, the curves."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.speed.goals import Verdict, demand, verdicts, words
from benchmarks.speed.plan import Topic
from benchmarks.speed.rows import Row, times
from benchmarks.speed.scale import Curve


def goals_table(found: Sequence[Verdict]) -> str:
    """Return the table of the goals."""
    out = [
        "| topic | case | system | goal | measured | over the rounds | |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in found:
        unit = " s" if one.goal.below else " x"
        measured, spread = "", ""
        if one.measured is not None:
            middle, low, high = one.measured
            measured, spread = f"{middle:.3g}{unit}", f"{low:.3g} to {high:.3g}"
        over = f" ({one.over})" if one.over not in ("", one.goal.over) else ""
        out.append(
            f"| {one.goal.topic} | {one.case} | {one.goal.ours} | {demand(one.goal)}{over} "
            f"| {measured} | {spread} | {words(one)} |"
        )
    return "\n".join(out)


def case_table(rows: Sequence[Row]) -> str:
    """Return the table of one case; the ratio is that of the first of ours that ran."""
    ours = next((row for row in rows if row["role"] == "ours" and row["value"]), None)
    limit = next((row for row in rows if row["role"] == "limit" and row["value"]), None)
    unit = rows[0]["unit"]
    out = [
        f"| system | {unit} | fastest to slowest | ours : it | of the limit | CPU s a call "
        "| peak MB | over MB | others' cores | |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        name = f"{row['system']} {row['version']}".strip()
        if row["value"] is None:
            out.append(f"| {name} | | | | | | | | | {row['error']} |")
            continue
        ratio = None if ours is None or row is ours else times(ours, row)
        share = None if limit is None or unit == "s" or row is limit else times(row, limit)
        out.append(
            f"| {name} | {row['value']:.4g} | {row['fastest']:.4g} to {row['slowest']:.4g} "
            f"| {_spread(ratio)} | {'' if share is None else f'{share[0]:.0%}'} "
            f"| {row['cpu_seconds']:.3g} | {row['peak_mb']:.0f} | {row['over_mb']:.0f} "
            f"| {row['others']:.2f} | {_facts(row, ours)} |"
        )
    return "\n".join(out)


def _spread(ratio: tuple[float, float, float] | None) -> str:
    if ratio is None:
        return ""
    middle, low, high = ratio
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _facts(row: Row, ours: Row | None) -> str:
    facts = row["facts"]
    shown = [
        f"{key} {value:.6g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in facts.items()
    ]
    # with the same inputs and no weights of its own a loss is to have the same value as ours
    for key in ("loss", "gradient") if "gradient" in facts and ours not in (None, row) else ():
        off = abs(facts[key] / ours["facts"][key] - 1.0) if ours else 0.0
        shown.append(f"{key} off by {off:.0e}")
    return ", ".join(shown).replace("_", " ")


def topic_section(topic: Topic, rows: Sequence[Row]) -> str:
    """Return the section of a topic."""
    parts = [f"## {topic.title}", topic.what]
    for case in dict.fromkeys(row["case"] for row in rows):
        parts += [f"**{case}**", case_table([row for row in rows if row["case"] == case])]
    return "\n\n".join(parts)


def scale_section(curves: Sequence[Curve], picture: str) -> str:
    """Return the section of the curves."""
    if not curves:
        return ""
    out = [
        "| topic | axis | system | of | points | exponent | law off by |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in curves:
        points = ", ".join(f"{size:,.0f}: {seconds:.3g} s" for size, seconds in one.points)
        out.append(
            f"| {one.topic} | {one.axis} | {one.system} | {one.what} | {points} "
            f"| {one.exponent:.2f} | {one.error:.2f} x |"
        )
    text = (
        "Seconds are a power of the size where the exponent says so; the last column is the "
        "largest factor between a point and the law."
    )
    return "\n\n".join(["## Growth", text, "\n".join(out), f"![Growth]({picture})"])


def text(
    topics: Sequence[Topic], rows: Sequence[Row], curves: Sequence[Curve], *, head: str, today: str
) -> str:
    """Return the report."""
    sections = [
        topic_section(topic, here)
        for topic in topics
        if (here := [row for row in rows if row["topic"] == topic.name])
    ]
    parts = [
        f"# Speed, {today}",
        head,
        "## Goals",
        goals_table(verdicts(rows)),
        f"![Ratios](speed_{today}.png)",
        *sections,
        scale_section(curves, f"speed_{today}_growth.png"),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
