"""PaddleClas's words, if that room is there; without it every word is taken as ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    from lookalike.paddleclas import (
        Translation,
        drop_ignored,
        drop_irrelevant,
        gather,
        other_program,
        place_numbered,
        read_optimizers,
        read_progress,
        read_reference,
        reference_file,
        stays_whole,
        stop_layer_candidates,
        their_names,
        to_our_layout,
        translate_component,
        translate_weights,
    )
except ImportError:

    @dataclass(frozen=True)
    class Translation:  # type: ignore[no-redef]
        """A component in our words."""

        name: str
        args: dict[str, Any]
        their_words: dict[str, str]
        words: list[str]
        twice: list[str]
        logged: str = ""

    def translate_component(kind: str, name: str, args: Mapping[str, Any]) -> Translation:
        """Take every word as it is."""
        return Translation(name, dict(args), {}, [], [])

    def drop_ignored(
        kind: str, name: str, args: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[str]]:
        """Keep every argument."""
        return dict(args), []

    def drop_irrelevant(data: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Keep every key."""
        return data, []

    def gather(kind: str, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """Keep every argument where it is."""
        return dict(args)

    def other_program(data: Mapping[str, Any]) -> str | None:
        """Know no other program."""
        return None

    def reference_file(path: str | Path) -> Path | None:
        """Know no files of theirs."""
        return None

    def place_numbered(  # type: ignore[misc]
        arrays: Mapping[str, Any], layers: Any, backbone: str
    ) -> Any:
        """Never asked: no file is theirs."""
        raise AssertionError(backbone)

    def read_optimizers(path: Path) -> Any:  # type: ignore[misc]
        """Never asked: no file is theirs."""
        raise AssertionError(path)

    def read_progress(path: Path) -> Any:  # type: ignore[misc]
        """Never asked: no file is theirs."""
        raise AssertionError(path)

    def to_our_layout(key: str, array: Any) -> Any:  # type: ignore[misc]
        """Never asked: no file is theirs."""
        raise AssertionError(key)

    def read_reference(path: Path) -> Any:  # type: ignore[misc]
        """Never asked: no file is theirs."""
        raise AssertionError(path)

    def translate_weights(  # type: ignore[misc]
        state: Mapping[str, Any], backbone: str
    ) -> Any:
        """Never asked: no file is theirs."""
        raise AssertionError(backbone)

    def stays_whole(name: str, backbone: str) -> str:
        """Know no backbone that is not cut."""
        return ""

    def stop_layer_candidates(
        name: str, backbone: str = ""
    ) -> tuple[list[str], tuple[str, int] | None]:
        """Look for a layer under its own name only."""
        return [name], None

    def their_names(kind: str) -> dict[str, list[str]]:
        """Know no other names."""
        return {}


__all__ = [
    "Translation",
    "drop_ignored",
    "drop_irrelevant",
    "gather",
    "other_program",
    "place_numbered",
    "read_optimizers",
    "read_progress",
    "read_reference",
    "reference_file",
    "stays_whole",
    "stop_layer_candidates",
    "their_names",
    "to_our_layout",
    "translate_component",
    "translate_weights",
]
