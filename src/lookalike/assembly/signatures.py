"""Arguments against the signature of what they are for, before it is called."""

from __future__ import annotations

import inspect
import math
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from lookalike.errors import cut, nearest

_RATIO = re.compile(
    r"\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*/\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*"
)


@dataclass(frozen=True)
class Signature:
    """What a callable takes.

    Attributes:
        types: Argument to annotation.
        required: Arguments without a default.
        open: Takes any further keyword.
    """

    types: dict[str, Any]
    required: list[str]
    open: bool


def signature_of(target: Callable[..., Any]) -> Signature:
    """Read the signature of a class or function; ``**kwargs: Unpack[T]`` counts as T's keys."""
    call = target.__init__ if inspect.isclass(target) else target
    hints = _hints(call)
    taken: dict[str, Any] = {}
    required: list[str] = []
    is_open = False
    for name, parameter in inspect.signature(call).parameters.items():
        if name == "self" or parameter.kind is parameter.VAR_POSITIONAL:
            continue
        annotation = hints.get(name, Any)
        if parameter.kind is parameter.VAR_KEYWORD:
            keys = _unpacked(annotation)
            taken |= keys
            is_open = not keys
            continue
        taken[name] = annotation
        if parameter.default is parameter.empty:
            required.append(name)
    return Signature(taken, required, is_open)


def check_arguments(
    signature: Signature,
    args: Mapping[str, Any],
    *,
    runtime: Iterable[str] = (),
    provided: Iterable[str] = (),
    their_words: Mapping[str, str] | None = None,
    known_words: Iterable[str] = (),
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the arguments converted to their types, and (argument, message) for each mistake.

    Args:
        signature: What is allowed.
        args: As the YAML gives them.
        runtime: Arguments that are provided by the program and cannot be given in the YAML.
        provided: Arguments that the program provides where the YAML does not give them.
        their_words: Our argument to the word the YAML used, for messages.
        known_words: Further words that are understood, for the nearest name.
    """
    words = dict(their_words or {})
    runtime = set(runtime)
    problems: list[tuple[str, str]] = []
    converted: dict[str, Any] = {}
    allowed = [name for name in signature.types if name not in runtime]
    for name, value in args.items():
        word = words.get(name, name)
        if name in runtime:
            problems.append((word, "is set by the program and cannot be given here."))
        elif name in signature.types:
            converted[name], message = _convert(signature.types[name], value)
            if message:
                problems.append((word, message))
        elif signature.open:
            converted[name] = value
        else:
            known = ", ".join(sorted(allowed)) or "none"
            close = nearest(name, [*allowed, *known_words])
            problems.append((word, f"unknown argument.{close} It takes: {known}."))
    for name in signature.required:
        if name not in args and name not in {*runtime, *provided}:
            problems.append((words.get(name, name), "is missing; it has no default."))
    return converted, problems


def _convert(annotation: Any, value: Any) -> tuple[Any, str]:
    if _mentions(annotation, (float, int)):
        value = _numbers(value)
        if isinstance(value, bool) and not _mentions(annotation, (bool,)):
            return value, f"a number expected; got {value!r}."
        if not _finite(value):
            return value, f"a finite number expected; got {cut(value)}."
    try:
        adapter = TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:
        adapter = TypeAdapter(annotation)
    try:
        return adapter.validate_python(value), ""
    except ValidationError as error:
        wanted = "; ".join(dict.fromkeys(detail["msg"] for detail in error.errors()[:3]))
        return value, f"{wanted}; got {cut(value)}."


def _numbers(value: Any) -> Any:
    """Read ``1.0/255.0`` as the number it means; nothing else is calculated.

    Example:
        >>> _numbers(["1.0/4", "x"])
        [0.25, 'x']
    """
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, str) and (match := _RATIO.fullmatch(value)):
        try:
            return float(match[1]) / float(match[2])
        except (ValueError, ZeroDivisionError):
            return value
    return value


def _finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(_finite(item) for item in value)
    return not isinstance(value, float) or math.isfinite(value)


def _mentions(annotation: Any, kinds: tuple[type, ...]) -> bool:
    if annotation in kinds:
        return True
    return any(_mentions(inner, kinds) for inner in get_args(annotation))


def _hints(call: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(call, include_extras=True)
    except Exception:  # noqa: BLE001 - other libraries' annotations may not resolve; check names only
        return {}


def _unpacked(annotation: Any) -> dict[str, Any]:
    if get_origin(annotation) is typing.Unpack:
        (keys,) = get_args(annotation)
        return dict(typing.get_type_hints(keys))
    return {}
