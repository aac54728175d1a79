"""What has changed between a checkpoint and the run that goes on from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lookalike.errors import cut

_SHOWN = 20
# these say where, not what
_PLACES = ("Global.checkpoints", "Global.output_dir")
_MISSING = object()


def changes(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say what of the facts of a run differs from those of a checkpoint, one sentence each.

    Args:
        saved: A checkpoint's facts; what it does not tell is not compared.
        now: The run's.

    Example:
        >>> changes({"config": {"Global": {"epochs": 2}}}, {"config": {"Global": {"epochs": 3}}})
        ['Global.epochs was 2 when the checkpoint was saved and is 3 now.']
    """
    found = []
    if saved.get("seed", now.get("seed")) != now.get("seed"):
        found.append(_sentence("the seed", saved["seed"], now.get("seed")))
    for name, before in (saved.get("data") or {}).items():
        after = (now.get("data") or {}).get(name)
        if after is not None and after != before:
            found.append(
                f"the {name} list has changed since the checkpoint was saved: {before['images']} "
                f"images (SHA-256 {before['list_sha256'][:12]}) then, {after['images']} "
                f"({after['list_sha256'][:12]}) now."
            )
    versions = saved.get("versions") or {}
    for package, after in (now.get("versions") or {}).items():
        if versions.get(package, after) != after:
            found.append(_sentence(package, versions[package], after))
    if saved.get("config"):
        found += _changed_settings(saved["config"], now.get("config") or {})
    return found


def _changed_settings(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    before, after = dict(_settings(saved)), dict(_settings(now))
    keys = [key for key in {**before, **after} if not key.startswith(_PLACES)]
    found = [
        _sentence(key, before.get(key, _MISSING), after.get(key, _MISSING))
        for key in keys
        if before.get(key, _MISSING) != after.get(key, _MISSING)
    ]
    if len(found) > _SHOWN:
        found[_SHOWN:] = [f"{len(found) - _SHOWN} more settings have changed."]
    return found


def _settings(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every setting with its path; lists are compared item by item."""
    if isinstance(value, Mapping | list) and value:
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in items:
            yield from _settings(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _sentence(what: str, before: Any, after: Any) -> str:
    def shown(value: Any) -> str:
        return "not given" if value is _MISSING else cut(value)

    return f"{what} was {shown(before)} when the checkpoint was saved and is {shown(after)} now."
