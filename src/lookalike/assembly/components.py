"""One component: its name to a callable, its arguments checked, the object made."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from lookalike.assembly.catalog import CATALOG, ENTRY_POINTS, PREFIXES
from lookalike.assembly.dialect import their_names, translate_component
from lookalike.assembly.signatures import Signature, check_arguments, signature_of
from lookalike.assembly.value_ranges import out_of_range
from lookalike.errors import ComponentError, ConfigError, LookalikeError, nearest

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True)
class Ready:
    """A component whose name and arguments have been checked; calling it makes the object.

    Attributes:
        kind: ``head``, ``loss``, ...
        name: As the YAML has it.
        target: Class or function.
        args: Converted arguments.
        signature: What ``target`` takes.
    """

    kind: str
    name: str
    target: Callable[..., Any]
    args: dict[str, Any]
    signature: Signature

    def make(self, **runtime: Any) -> Any:
        """Call the target; a refusal of a value becomes a ConfigError that names the component."""
        try:
            return self.target(**self.args, **runtime)
        except LookalikeError:
            raise
        except (TypeError, ValueError, RuntimeError, ZeroDivisionError, OverflowError) as error:
            raise ComponentError(self.kind, self.name, str(error)) from error

    def accepts(self, runtime: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of the runtime arguments that the target takes."""
        return {name: value for name, value in runtime.items() if name in self.signature.types}


def prepare(
    kind: str,
    name: str,
    args: Mapping[str, Any],
    *,
    runtime: Sequence[str] = (),
    provided: Sequence[str] = (),
    allow_import: Sequence[str] = (),
) -> tuple[Ready | None, list[tuple[str, str]]]:
    """Find a component and check its arguments.

    Args:
        kind: A key of the catalog.
        name: Ours, PaddleClas's, ``module:attribute``, or an entry point's.
        args: As the YAML gives them.
        runtime: Arguments the program provides.
        provided: Arguments the program provides unless the YAML gives them.
        allow_import: Modules (with all below them) that an import path may name.

    Returns:
        The component, or None if the name is unknown; and (argument or empty, message) for each
        mistake.
    """
    translated = translate_component(kind, name, args)
    try:
        target = find(kind, translated.name, allow_import)
    except ConfigError as error:
        return None, [("", str(error))]
    signature = signature_of(target)
    converted, problems = check_arguments(
        signature,
        translated.args,
        runtime=runtime,
        provided=provided,
        their_words=translated.their_words,
        known_words=translated.words,
    )
    problems += out_of_range(kind, target, converted, translated.their_words or {})
    problems += [(word, "is given twice, under two names.") for word in translated.twice]
    return Ready(kind, name, target, converted, signature), problems


def find(kind: str, name: str, allow_import: Sequence[str] = ()) -> Callable[..., Any]:
    """Return what a name stands for.

    Raises:
        ConfigError: If nothing has the name, or it names code that is not allowed.
    """
    rows = CATALOG[kind]
    if name in rows:
        return load_path(rows[name])
    for prefix, module in PREFIXES.get(kind, {}).items():
        found = getattr(importlib.import_module(module), name.removeprefix(prefix), None)
        if name.startswith(prefix) and isinstance(found, type):
            return found
    if ":" in name:
        _require_allowed(kind, name, name, allow_import)
        return load_path(name)
    if path := _entry_points(kind).get(name):
        _require_allowed(kind, name, path, allow_import)
        return load_path(path)
    known = sorted({*rows, *(word for words in their_names(kind).values() for word in words)})
    raise ConfigError(
        f"no {kind} is called '{name}'.{nearest(name, known)} Known: {', '.join(known)}; or give "
        "an import path 'module:name' with --allow-import module."
    )


def _require_allowed(kind: str, name: str, path: str, allow_import: Sequence[str]) -> None:
    module = path.partition(":")[0]
    if not _MODULE.fullmatch(module):
        raise ConfigError(f"'{path}' is not an import path; write module:name.")
    permitted = [allowed for allowed in allow_import if allowed]
    if not any(module == allowed or module.startswith(f"{allowed}.") for allowed in permitted):
        raise ConfigError(
            f"the {kind} '{name}' would run code of the module '{module}'. A YAML may do that only "
            f"with your permission: add --allow-import {module.partition('.')[0]}"
        )


def load_path(path: str) -> Callable[..., Any]:
    """Import ``module:attribute``; it must be callable."""
    module, _, attribute = path.partition(":")
    try:
        target = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - importing runs whatever is there
        raise ConfigError(
            f"'{path}' cannot be imported ({type(error).__name__}: {error})."
        ) from error
    if not callable(target):
        raise ConfigError(f"'{path}' is not a class or function.")
    return target  # type: ignore[no-any-return]


def _entry_points(kind: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for point in metadata.entry_points(group=ENTRY_POINTS.get(kind, "lookalike.none")):
        if point.name in CATALOG[kind] or (
            point.name in found and found[point.name] != point.value
        ):
            other = found.get(point.name, "lookalike itself")
            raise ConfigError(
                f"two packages offer the {kind} '{point.name}': {point.value} and {other}; remove "
                "one of them, or use the import path."
            )
        found[point.name] = point.value
    return found
