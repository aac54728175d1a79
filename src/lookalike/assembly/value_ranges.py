"""Values that no component of ours can mean, by the argument's name: negative rates, odd chances.

A constructor still owns its rules; these are the ones that all constructors share, so that every
component of the catalog has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Range(NamedTuple):
    """Values from ``low`` to ``high``, both included unless they are open."""

    low: float
    high: float = float("inf")
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float):
            return True
        above = value > self.low if self.low_open else value >= self.low
        return above and (value < self.high if self.high_open else value <= self.high)

    def __str__(self) -> str:
        """Return the range in words.

        Example:
            >>> str(Range(0, 1)), str(Range(0, low_open=True)), str(Range(1))
            ('a number in [0, 1] expected', 'a number above 0 expected', 'at least 1 expected')
        """
        if self.high == float("inf"):
            return (
                f"a number above {self.low:g} expected"
                if self.low_open
                else (f"at least {self.low:g} expected")
            )
        left, right = "(" if self.low_open else "[", ")" if self.high_open else "]"
        return f"a number in {left}{self.low:g}, {self.high:g}{right} expected"


_CHANCE, _RATE = Range(0, 1), Range(0)
_POSITIVE, _COUNT = Range(0, low_open=True), Range(1)
_DECAY = Range(0, 1, high_open=True)
RANGES: dict[str, Range] = {
    **dict.fromkeys(("probability", "prob", "switch_prob", "phase_pct"), _CHANCE),
    **dict.fromkeys(("min_area", "max_area", "min_side"), _CHANCE),
    **dict.fromkeys(("lr", "base_lr", "max_lr", "end_lr", "eta_min", "min_lr", "values"), _RATE),
    **dict.fromkeys(("patience", "cooldown", "start_iter", "num_warmup_steps"), _RATE),
    **dict.fromkeys(("temperature", "base_temperature", "step_size", "factor"), _POSITIVE),
    **dict.fromkeys(("beta1", "beta2", "rho"), _DECAY),
    "sample_rate": Range(0, 1, low_open=True),
    **dict.fromkeys(
        ("embedding_size", "num_classes", "in_features", "out_features", "in_channels"), _COUNT
    ),
    **dict.fromkeys(("out_channels", "num_features", "low_dim", "num_centers"), _COUNT),
    **dict.fromkeys(("batch_size", "images_per_label", "iter_per_epoch", "xbm_size"), _COUNT),
    **dict.fromkeys(("views", "width", "divisor", "step_size_up", "chunk_size"), _COUNT),
    **dict.fromkeys(("student_channels", "teacher_channels", "max_iters"), _COUNT),
    **dict.fromkeys(("student_channel", "teacher_channel", "num_projectors"), _COUNT),
}
"""By the name that our constructors give an argument."""

# of one kind of component alone, where others mean something else by the name
_OF_KIND: dict[tuple[str, str], Range] = {
    ("optimizer", "momentum"): _CHANCE,
    ("transform", "size"): _COUNT,
}


def out_of_range(
    kind: str, target: Callable[..., Any], args: Mapping[str, Any], words: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return (argument, message) for each value that is out of range.

    Args:
        kind: A key of the catalog.
        target: The constructor; those of other packages have rules of their own.
        args: Converted arguments, by our names.
        words: Our name to the word that the YAML uses, for messages.

    Example:
        >>> out_of_range("transform", Range, {"probability": -3}, {"probability": "prob"})
        [('prob', 'a number in [0, 1] expected; got -3.')]
    """
    if not str(getattr(target, "__module__", "")).startswith("lookalike."):
        return []
    problems = []
    for name, value in args.items():
        allowed = _OF_KIND.get((kind, name)) or RANGES.get(name)
        values = value if isinstance(value, list | tuple) else [value]
        if allowed is not None and any(one not in allowed for one in values):
            problems.append((words.get(name, name), f"{allowed}; got {value!r}."))
    return problems
