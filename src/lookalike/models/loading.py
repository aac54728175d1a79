"""Loading tensors into a model: completely or not at all."""

from __future__ import annotations

import glob
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from torch import Tensor, nn

from lookalike.errors import CheckpointError, cut
from lookalike.models.weight_numbers import bad_numbers, other_kind

MAX_SHOWN = 20
_LONGEST = 200


@dataclass
class LoadReport:
    """What a weight file gave to a model.

    Attributes:
        source: What messages call the file.
        loaded: Keys.
        missing: Keys that the file lacks.
        left_over: Keys that the model lacks.
        other_shape: Key to both shapes, of tensors that do not fit.
        other_type: Key to both types, of tensors that cannot be converted.
        bad_numbers: Key to what is wrong, of tensors with NaN, infinite or negative numbers.
    """

    source: str
    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    other_shape: dict[str, str] = field(default_factory=dict)
    other_type: dict[str, str] = field(default_factory=dict)
    bad_numbers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} tensors loaded"]
        for what, lines in self._differences():
            if lines:
                shown = ", ".join(lines[:6]) + (", ..." if len(lines) > 6 else "")
                parts.append(f"{len(lines)} {what} ({shown})")
        return f"{self.source}: " + "; ".join(parts)

    def _differences(self) -> list[tuple[str, list[str]]]:
        return [
            ("missing", [shown_key(key) for key in self.missing]),
            ("left over", [shown_key(key) for key in self.left_over]),
            ("of another shape", _lines(self.other_shape)),
            ("of another type", _lines(self.other_type)),
            ("unusable numbers", _lines(self.bad_numbers)),
        ]

    @property
    def unfit(self) -> list[str]:
        """Keys of the model to which the file gave nothing."""
        return [*self.missing, *self.other_shape, *self.other_type, *self.bad_numbers]

    @property
    def complete(self) -> bool:
        """Whether every tensor found its place and every place its tensor."""
        return not self.unfit and not self.left_over

    def table(self) -> str:
        """Return what was loaded and what was not, a line for each tensor that was not.

        Example:
            >>> print(LoadReport("a.pth", ["fc.bias"], ["fc.weight"]).table())
            a.pth
              loaded              1
              missing             1
                  fc.weight
              left over           0
              of another shape    0
              of another type     0
              unusable numbers    0
        """
        rows = [self.source, f"  {'loaded':16}{len(self.loaded):5}"]
        for what, lines in self._differences():
            rows.append(f"  {what:16}{len(lines):5}")
            if len(lines) > MAX_SHOWN:
                half = MAX_SHOWN // 2
                between = f"... and {len(lines) - MAX_SHOWN} more, up to"
                lines = [*lines[:half], between, *lines[-half:]]
            rows += [f"      {line}" for line in lines]
        return "\n".join(rows)


def shown_key(key: str) -> str:
    """Return a tensor's name for a message: as it is, or quoted if it would be misread.

    Example:
        >>> shown_key("head.weight"), shown_key(""), shown_key("a b")
        ('head.weight', "''", "'a b'")
    """
    plain = key.isprintable() and not any(map(str.isspace, key)) and 0 < len(key) <= _LONGEST
    return key if plain else cut(key)


def _lines(reasons: Mapping[str, str]) -> list[str]:
    return [f"{shown_key(key)} {reason}" for key, reason in reasons.items()]


def load_state(
    module: nn.Module,
    state: Mapping[str, Tensor],
    *,
    source: str,
    allow_missing: Sequence[str] = (),
    allow_left_over: Sequence[str] = (),
) -> LoadReport:
    """Copy tensors into a module, key for key; anything unexpected stops the run.

    Args:
        module: Receives the tensors.
        state: Tensors by name.
        source: What messages call the file.
        allow_missing: Patterns (``head.*``) of keys that may be absent or unfit; they keep their
            initial values.
        allow_left_over: Patterns of keys in the file that may have no place.

    Raises:
        CheckpointError: If a key is missing, left over, of another shape or type, or holds numbers
            that are not finite, and is not allowed.
    """
    report = compared(module.state_dict(), state, source)
    refused = [key for key in report.unfit if not matches_any(key, allow_missing)]
    refused += [key for key in report.left_over if not matches_any(key, allow_left_over)]
    if refused:
        raise CheckpointError(f"{report.table()}\nNothing was loaded. {_way_out(report, refused)}")
    module.load_state_dict({key: state[key] for key in report.loaded}, strict=False)
    return report


def compared(own: Mapping[str, Tensor], state: Mapping[str, Tensor], source: str) -> LoadReport:
    """Hold a file's tensors against a model's; ``loaded`` are those that fit.

    Args:
        own: The model's, by name.
        state: The file's, by name.
        source: What messages call the file.
    """
    report = LoadReport(source)
    for key, tensor in own.items():
        found = state.get(key)
        if found is None:
            # counters of batches seen exist in some files only and change nothing
            if not key.endswith("num_batches_tracked"):
                report.missing.append(key)
        elif reason := other_kind(found, tensor):
            report.other_type[key] = reason
        elif found.shape != tensor.shape:
            report.other_shape[key] = f"{cut(list(found.shape))} -> {list(tensor.shape)}"
        elif reason := bad_numbers(key, found, tensor):
            report.bad_numbers[key] = reason
        else:
            report.loaded.append(key)
    report.left_over = [key for key in state if key not in own]
    return report


def _way_out(report: LoadReport, keys: Sequence[str]) -> str:
    """Say what to do about tensors that cannot be used, or how to allow a difference.

    Example:
        >>> _way_out(LoadReport("a.pth", missing=["head.weight"]), ["head.weight"])
        "If the difference is meant, allow it by pattern, for example --allow-missing 'head.*'."
    """
    if not report.other_type.keys().isdisjoint(keys):
        return "Give the weights as they were before they were quantised or cast to another type."
    if not report.bad_numbers.keys().isdisjoint(keys):
        return (
            "The run that saved these numbers diverged, or the file is damaged; give another one."
        )
    key = next((key for key in keys if key.isprintable() and len(key) <= _LONGEST), None)
    example = ""
    if key is not None:
        # no wider than a part of the model
        part = glob.escape(key.split(".")[0])
        pattern = f"{part}.*" if "." in key else part
        example = f", for example --allow-missing {shlex.quote(pattern)}"
    return f"If the difference is meant, allow it by pattern{example}."


def matches_any(key: str, patterns: Sequence[str]) -> bool:
    """Tell whether a tensor's name fits one of the patterns, such as ``head.*``."""
    return any(fnmatchcase(key, pattern) for pattern in patterns)
