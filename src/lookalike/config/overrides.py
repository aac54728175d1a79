"""``-o Section.key=value`` on the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lookalike.config.read import Document, KeyPath, read_value
from lookalike.errors import ConfigError, Problem, nearest


def apply_overrides(
    document: Document, assignments: Sequence[str], *, knows: Callable[[KeyPath], list[str]]
) -> list[Problem]:
    """Write the assignments into ``document.data``; return the mistakes.

    Every part of a path but the last must exist in the file or be known to ``knows``. The last
    part may be new where the schema or the component's signature takes it; that is checked when
    the whole configuration is. ``+path=value`` adds a key without either check.

    Args:
        document: The file; changed in place.
        assignments: Texts such as ``Loss.Train.0.CELoss.weight=0.5``. The first ``=`` separates;
            the value is YAML and may contain more of them.
        knows: Key path of a section to the keys the schema allows there.
    """
    problems = []
    for text in assignments:
        try:
            _apply(document, text, knows)
        except ConfigError as error:
            problems += error.problems
    return problems


def _apply(document: Document, text: str, knows: Callable[[KeyPath], list[str]]) -> None:
    left, equals, right = text.partition("=")
    adding = left.startswith("+")
    parts = left.removeprefix("+").strip().split(".")
    if not equals or not all(parts):
        raise _refusal(text, "write Section.key=value, for example Global.epochs=3.")
    value = read_value(right, where=f"-o {text}")
    node: Any = document.data
    path: KeyPath = ()
    for name in parts[:-1]:
        key = _key(node, name, path, text)
        if isinstance(node, dict) and (key not in node or node[key] is None):
            if not adding and key not in knows(path) and key not in node:
                raise _unknown(text, path, name, [*node, *knows(path)])
            node[key] = {}
        node, path = node[key], (*path, key)
    last = _key(node, parts[-1], path, text)
    if isinstance(node, dict) and last not in node and not adding:
        _require_known(document, node, path, str(last), text, knows)
    node[last] = value
    document.overrides[(*path, last)] = text


def _require_known(
    document: Document,
    node: dict[str, Any],
    path: KeyPath,
    key: str,
    text: str,
    knows: Callable[[KeyPath], list[str]],
) -> None:
    """Refuse a key that no list of allowed keys has; open components check it later."""
    allowed = knows(path)
    if allowed and key not in allowed:
        raise _unknown(text, path, key, [*node, *allowed])
    inside_list = bool(path) and isinstance(path[-1], int)
    if inside_list and not allowed and "name" not in node:
        # {CELoss: {...}}: a second key beside the name would be another component
        raise _unknown(text, path, key, list(node))


def _key(node: Any, name: str, path: KeyPath, text: str) -> str | int:
    if isinstance(node, dict):
        return name
    here = ".".join(str(part) for part in path)
    if not isinstance(node, list):
        raise _refusal(text, f"'{here}' is a single value and has no '{name}' inside.")
    if not (name.isascii() and name.isdigit()) or int(name) >= len(node):
        raise _refusal(
            text, f"'{here}' is a list of {len(node)}; '{name}' is not one of its places."
        )
    return int(name)


def _unknown(text: str, path: KeyPath, name: str, known: list[str]) -> ConfigError:
    here = ".".join(str(part) for part in path) or "the file"
    known = sorted({str(key) for key in known})
    return _refusal(
        text,
        f"'{name}' is unknown in {here}.{nearest(name, known)} Known there: {', '.join(known)}. "
        "To add a key all the same, write +path=value.",
    )


def _refusal(text: str, message: str) -> ConfigError:
    return ConfigError([Problem("", message, where=f"-o {text}")])
