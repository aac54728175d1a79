"""The configuration as it was run: the file with the command line's changes and the seed."""

from __future__ import annotations

import io
from copy import deepcopy
from pathlib import Path

from ruamel.yaml import YAML

from lookalike.assembly.facts import versions
from lookalike.assembly.job import seed_of
from lookalike.assembly.load import Run
from lookalike.durable import write_whole
from lookalike.errors import masked

_ALREADY_DONE = ("checkpoints",)


def resolved_yaml(run: Run) -> str:
    """Return YAML that runs again identically, whatever the command line was.

    A run that was resumed is written without its checkpoint: run again, it starts anew. Passwords
    in addresses are masked; nothing is downloaded from an address.
    """
    data = deepcopy(run.document.data)
    section = data.setdefault("Global", {})
    section["seed"] = seed_of(run)
    for key in _ALREADY_DONE:
        section.pop(key, None)
    header = [f"# Written by lookalike {versions()['lookalike']} from {run.document.file}"]
    header += [f"# with -o {text}" for text in run.document.overrides.values()]
    stream = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 100
    yaml.dump(data, stream)
    return masked("\n".join(header) + "\n" + stream.getvalue())


def write_resolved(run: Run, folder: Path) -> Path:
    """Write ``resolved.yaml`` into a run folder."""
    path = folder / "resolved.yaml"
    write_whole(path, resolved_yaml(run))
    return path
