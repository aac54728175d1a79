"""Counts as small bar charts in SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT, _FOOT, _HEAD, _WIDEST = 320, 120, 18, 14, 48


def histogram(values: NDArray[np.int64], title: str) -> str:
    """Draw how many values lie between powers of two, or nothing without values.

    Example:
        >>> histogram(np.array([1, 5, 6, 300]), "images per label").count("<rect")
        3
    """
    if not len(values):
        return ""
    powers = np.floor(np.log2(np.maximum(values, 1))).astype(int)
    low, high = int(powers.min()), int(powers.max())
    counts = np.bincount(powers - low, minlength=high - low + 1)
    names = [str(2**power) for power in range(low, high + 1)]
    return bars(names, counts.tolist(), title)


def bars(names: Sequence[str], counts: Sequence[int], title: str) -> str:
    """Draw one bar per name, its count above it."""
    step = min(_WIDTH / len(names), _WIDEST)
    top = max(counts)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
    ]
    for number, (name, count) in enumerate(zip(names, counts, strict=True)):
        middle = (number + 0.5) * step
        height = (_HEIGHT - _FOOT - _HEAD) * count / top
        base = _HEIGHT - _FOOT
        if count:
            parts.append(
                f'<rect x="{number * step + 1:.1f}" y="{base - height:.1f}" '
                f'width="{max(step - 2, 1):.1f}" height="{height:.1f}"/>'
            )
            parts.append(f'<text x="{middle:.1f}" y="{base - height - 3:.1f}">{count:,}</text>')
        parts.append(f'<text x="{middle:.1f}" y="{_HEIGHT - 5}">{escape(name)}</text>')
    return "".join([*parts, "</svg>"])
