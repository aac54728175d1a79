"""Raw values to a :class:`RunConfig`, with every mistake of the frame told at its place."""

from __future__ import annotations

from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from lookalike.config.read import Document, KeyPath
from lookalike.config.schema import RunConfig
from lookalike.errors import Problem, cut, nearest

_OPEN = frozenset({"args"})


def check_frame(document: Document) -> tuple[RunConfig | None, list[Problem]]:
    """Validate the sections; return the configuration, or None and what is wrong."""
    try:
        return RunConfig.model_validate(document.data), []
    except ValidationError as error:
        return None, [_problem(document, detail) for detail in error.errors()]


def allowed_keys(path: KeyPath) -> list[str]:
    """Return the keys the frame allows in the section at ``path``; empty where it is open.

    Example:
        >>> "epochs" in allowed_keys(("Global",)), allowed_keys(("Arch", "Head"))
        (True, [])
    """
    sections: list[type[BaseModel]] = [RunConfig]
    names = iter(part for part in path if isinstance(part, str))
    for name in names:
        fields = [s.model_fields[name].annotation for s in sections if name in s.model_fields]
        sections = [section for field in fields for section in _sections_in(field)]
        if any(_is_by_name(field) for field in fields) and sections:
            next(names, None)  # the name of one of several models
    known = dict.fromkeys(name for section in sections for name in section.model_fields)
    return [] if _OPEN & set(known) else [name for name in known if name != "single"]


def _is_by_name(annotation: Any) -> bool:
    """Tell whether sections stand under names of their own, ``dict[str, X]``."""
    inner = any(_is_by_name(part) for part in get_args(annotation))
    return get_origin(annotation) is dict or inner


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    """Find the section types inside ``X | None``, ``list[X]`` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in get_args(annotation) for found in _sections_in(inner)]


def _problem(document: Document, detail: Any) -> Problem:
    path = _written_path(document.data, detail["loc"])
    parent = _parent_keys(path)
    kind, given = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        name = str(path[-1])
        known = ", ".join(sorted(parent))
        message = f"unknown key.{nearest(name, parent)} Known here: {known}."
    elif kind == "missing":
        message = "is missing here."
    elif isinstance(given, dict):
        message = f"{detail['msg']}."
    else:
        message = f"{detail['msg'].removeprefix('Input ').strip()}; got {cut(given)}."
    return document.problem(path, message)


def _parent_keys(path: KeyPath) -> list[str]:
    return allowed_keys(path[:-1])


def _written_path(data: Any, loc: tuple[str | int, ...]) -> KeyPath:
    """Drop the steps that only the frame has (``single``, ``args``, union members)."""
    path: list[str | int] = []
    for index, part in enumerate(loc):
        last = index == len(loc) - 1
        if _holds(data, part):
            data = data[part]
            path.append(part)
        elif isinstance(data, dict) and len(data) == 1 and part == "single":
            ((key, data),) = data.items()
            path.append(key)
        elif last and isinstance(part, str) and part not in ("single", "args"):
            path.append(part)
    return tuple(path)


def _holds(data: Any, part: str | int) -> bool:
    if isinstance(data, dict):
        return part in data
    return isinstance(data, list) and isinstance(part, int) and part < len(data)
