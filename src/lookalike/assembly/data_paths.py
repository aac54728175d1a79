"""Folders and lists that a YAML names, and the nearest ones where they do not exist."""

from __future__ import annotations

import os
from pathlib import Path

from lookalike.assembly.load import Run
from lookalike.assembly.prepare import inner_components
from lookalike.config import ComponentSpec
from lookalike.config.read import KeyPath
from lookalike.errors import DataError, Problem, nearest

_FOLDERS = ("image_root", "root_dir", "root", "label_root")
_LISTS = ("cls_label_path", "label_file", "label_path", "list_file", "table_file", "anno_file")
_MOST_ENTRIES = 10_000


def check_paths(run: Run, path: KeyPath, spec: ComponentSpec) -> None:
    """Refuse a data set whose folder or list does not exist.

    Args:
        run: The configuration.
        path: Where the YAML has the data set.
        spec: The data set.

    Raises:
        DataError: Names the key, its line in the YAML, and the nearest path that exists.
    """
    problems = list(_missing(run, path, spec))
    if problems:
        raise DataError("\n".join(map(str, problems)))


def _missing(run: Run, path: KeyPath, spec: ComponentSpec) -> list[Problem]:
    here = path if spec.named else (*path, spec.name)
    found = []
    for word in (*_FOLDERS, *_LISTS):
        value = spec.args.get(word)
        # without a suffix it may be the name of a part, such as bounding_box_train
        is_path = isinstance(value, str) and (word in _FOLDERS or Path(value).suffix)
        if is_path and "\0" not in str(value) and not os.path.exists(str(value)):
            text = f"'{value}' does not exist.{_nearest_to(Path(str(value)))}"
            found.append(run.document.problem((*here, word), text))
    for inner in inner_components("dataset", spec, "datasets"):
        steps = tuple(int(one) if one.isdigit() else one for one in inner.at.split("."))
        steps = steps if inner.spec.named else steps[:-1]
        found += _missing(run, (*here, *steps), inner.spec)
    return found


def _nearest_to(path: Path) -> str:
    """Return a sentence on the first part of a path that does not exist.

    Example:
        >>> _nearest_to(Path("/no-such-folder-here/a.txt"))
        " There is no 'no-such-folder-here' in /."
    """
    whole = Path(os.path.abspath(path))
    missing = next(part for part in (*reversed(whole.parents), whole) if not part.exists())
    parent = missing.parent
    try:
        with os.scandir(parent) as entries:
            names = [entry.name for entry, _ in zip(entries, range(_MOST_ENTRIES), strict=False)]
    except OSError:
        names = []
    return f" There is no '{missing.name}' in {parent}.{nearest(missing.name, names)}"
