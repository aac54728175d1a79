"""Cost against size: the exponent of a power law through the points."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.speed.rows import Row


@dataclass(frozen=True)
class Curve:
    """A system's seconds over sizes.

    Attributes:
        exponent: The slope of log seconds over log size.
        error: The largest factor between a point and the fitted law.
    """

    topic: str
    axis: str
    system: str
    what: str
    points: tuple[tuple[float, float], ...]
    exponent: float
    error: float


def curves(rows: Sequence[Row]) -> list[Curve]:
    """Return the curves of three points or more, retrieval's gallery among them."""
    series: dict[tuple[str, str, str, str], list[tuple[float, float]]] = {}
    for row in rows:
        if row["value"] is None:
            continue
        if row["topic"] == "retrieval":
            size = re.fullmatch(r"\d+ x (\d+) x \d+ mapped", row["case"])
            if size:
                key = ("retrieval", "gallery", row["system"], "seconds")
                series.setdefault(key, []).append((float(size[1]), row["value"]))
        elif row.get("curve"):
            axis, place = row["curve"]
            seconds, what = _cost(row)
            series.setdefault((row["topic"], axis, row["system"], what), []).append(
                (float(place), seconds)
            )
    return [_fit(*key, tuple(sorted(points))) for key, points in series.items() if len(points) >= 3]


def _cost(row: Row) -> tuple[float, str]:
    """Return the seconds of an epoch where the row tells how long one is, else of a step."""
    batches = row["facts"].get("epoch_batches")
    if batches:
        return batches / row["value"], "seconds an epoch"
    return 1.0 / row["value"], "seconds a step"


def _fit(
    topic: str, axis: str, system: str, what: str, points: tuple[tuple[float, float], ...]
) -> Curve:
    sizes, seconds = np.log(np.array(points)).T
    slope, start = np.polyfit(sizes, seconds, 1)
    error = float(np.exp(np.abs(slope * sizes + start - seconds).max()))
    return Curve(topic, axis, system, what, points, float(slope), error)
