"""``lookalike list``."""

from __future__ import annotations

from importlib import metadata

from rich.console import Console
from rich.table import Table

from lookalike.assembly.catalog import CATALOG, ENTRY_POINTS
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
    table = Table(box=None, pad_edge=False)
    for title in ("name", "from", "in PaddleClas", "what it is"):
        table.add_column(title, no_wrap=title in ("name", "from"), overflow="fold")
    theirs = their_names(singular)
    for name, path in CATALOG[singular].items():
        origin = path.split(".")[0]
        table.add_row(name, origin, ", ".join(theirs.get(name, [])), _first_line(path))
    for point in metadata.entry_points(group=ENTRY_POINTS.get(singular, "lookalike.none")):
        origin = point.dist.name if point.dist is not None else "?"
        table.add_row(point.name, origin, "", f"{point.value}; needs --allow-import")
    Console(soft_wrap=False, highlight=False).print(table)
    if singular == "backbone":
        print("and every model of timm and torchvision under its name there.")  # noqa: T201
    if singular == "transform":
        print("and every transform of torchvision.transforms.v2 as v2.Name.")  # noqa: T201


def print_weights() -> None:
    """Print where ``pretrained: True`` takes each backbone's weights from, and their licence."""
    from lookalike.assembly.weight_sources import weight_sources

    table = Table(box=None, pad_edge=False)
    for title in ("backbone", "weights from", "here", "licence of the weights"):
        table.add_column(title, no_wrap=title == "backbone", overflow="fold")
    for found in weight_sources():
        here = "yes" if found.here else "no"
        table.add_row(found.backbone, found.source or "none known", here, found.licence)
    Console(soft_wrap=False, highlight=False).print(table)
    print("Any other model of timm and torchvision: the library's own download.")  # noqa: T201


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
