"""``lookalike list``."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from lookalike.assembly.catalog import CATALOG
from lookalike.assembly.dialect import their_names
from lookalike.errors import ConfigError, nearest


def print_components(kind: str) -> None:
    """Print the catalog of one kind, or the kinds."""
    if not kind:
        print("Kinds: " + ", ".join(plural(name) for name in CATALOG))  # noqa: T201
        return
    singular = {plural(name): name for name in CATALOG}.get(kind, kind)
    if singular not in CATALOG:
        known = [plural(name) for name in CATALOG]
        raise ConfigError(f"no kind '{kind}'.{nearest(kind, known)} Kinds: {', '.join(known)}.")
    table = Table("name", "in PaddleClas", "what it is", "from", box=None, pad_edge=False)
    theirs = their_names(singular)
    for name, path in CATALOG[singular].items():
        table.add_row(name, ", ".join(theirs.get(name, [])), _first_line(path), path.split(":")[0])
    Console(soft_wrap=False, highlight=False).print(table)
    if singular == "backbone":
        print("and every model of timm and torchvision under its name there.")  # noqa: T201
    if singular == "transform":
        print("and every transform of torchvision.transforms.v2 as v2.Name.")  # noqa: T201


def plural(kind: str) -> str:
    """Return the plural of a kind.

    Example:
        >>> plural("loss"), plural("head")
        ('losses', 'heads')
    """
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"


def _first_line(path: str) -> str:
    from lookalike.assembly.components import load_path

    return (load_path(path).__doc__ or "").strip().split("\n")[0]
