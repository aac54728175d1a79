"""What stands in a state for a table that lies beside it.

A state is plain containers, numbers and tensors, so that reading it runs no code; so is this: a
mapping with one key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from torch import Tensor

_KEY = "table beside"


def stand_in(name: str) -> dict[str, str]:
    """Return what stands for the table of a name."""
    return {_KEY: name}


def table_of(value: Any) -> str | None:
    """Return the name of the table that a value stands for; None for what stands for none.

    Example:
        >>> table_of(stand_in("one")), table_of({"step": 1}), table_of(1)
        ('one', None, None)
    """
    name = value.get(_KEY) if isinstance(value, Mapping) and len(value) == 1 else None
    return name if isinstance(name, str) else None


def stood_for(value: Any) -> Iterator[str]:
    """Yield the names of all tables that nested containers lack.

    Example:
        >>> list(stood_for({"a": [stand_in("one"), 2], "b": stand_in("two")}))
        ['one', 'two']
    """
    name = table_of(value)
    if name is not None:
        yield name
        return
    inside = list(value.values()) if isinstance(value, Mapping) else value
    if isinstance(inside, list | tuple):
        yield from chain.from_iterable(map(stood_for, inside))


def filled(value: Any, tables: Mapping[str, Tensor]) -> Any:
    """Return nested containers with their tables, and with copies of their other tensors.

    Example:
        >>> filled([stand_in("one"), 2], {"one": "a table"})
        ['a table', 2]
    """
    if isinstance(value, Tensor):
        return value.clone()
    name = table_of(value)
    if name is not None:
        return tables[name]
    if isinstance(value, Mapping):
        return {key: filled(one, tables) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(filled(one, tables) for one in value)
    return value
