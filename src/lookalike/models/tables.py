"""Tables whose rows lie with several processes, in files that each writes and any number reads.

PyTorch's distributed checkpoint does the work: it agrees with the others who writes what, and finds
in which files the rows lie that are wanted. The files are those it makes for the Hugging Face Hub:
safetensors, with the place of the first row in the header, so nothing is unpickled. No process ever
holds more than the rows it has, and writing takes no copy of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lookalike import processes
from lookalike.errors import CheckpointError
from lookalike.models.sharded import Rows

MODEL = "model"

_MARK = "/"
_FILES = "rows_of_process_{}.safetensors"


def table_name(*parts: str | int) -> str:
    """Return the name of a table; no tensor of a model has one like it."""
    return _MARK.join(map(str, parts))


def of_model(names: Iterable[str]) -> dict[str, str]:
    """Return which names are tables of a model: the name there to that of the table.

    Example:
        >>> of_model(["model/head.weight", "averaged/module.head.weight"])
        {'head.weight': 'model/head.weight'}
    """
    start = table_name(MODEL, "")
    return {name.removeprefix(start): name for name in names if name.startswith(start)}


@dataclass(frozen=True)
class Part:
    """What this process has of a table.

    Attributes:
        tensor: ``[rows, ...]``.
        rows: Which they are.
    """

    tensor: Tensor
    rows: Rows


def write_tables(folder: Path, tables: Mapping[str, Part], what: str = "file") -> Path:
    """Write the rows of this process to a file of its own; every process must call it.

    Args:
        folder: One that all of them see.
        tables: By name; the same names in every process.
        what: Is written, for fault points.

    Returns:
        The file; it is not there if this process has no rows at all.

    Raises:
        Exception: In all of them, what has kept one of them from writing.
    """
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.state_dict_saver import save

    from lookalike.models.table_plans import PartsToFile, PartsToWrite

    path = folder / _FILES.format(processes.rank())
    processes.meet()
    try:
        save(
            {name: part.tensor for name, part in tables.items()},
            storage_writer=PartsToFile(path, what),
            planner=PartsToWrite({name: part.rows for name, part in tables.items()}),
        )
    except CheckpointException as error:
        raise next(iter(error.failures.values()))[0] from None
    return path


def _complete(about: Any) -> bool:
    """Tell whether the parts of a table make up the whole; what files claim of it may be false."""
    place, (total, *width) = 0, about.size or (-1,)
    for chunk in sorted(about.chunks, key=lambda one: one.offsets):
        if chunk.offsets[0] != place or list(chunk.sizes[1:]) != width or any(chunk.offsets[1:]):
            return False
        place += chunk.sizes[0]
    return bool(place == total)


def tables_in(folder: Path) -> Tables | None:
    """Return the tables of a folder, if processes have written any there.

    Raises:
        CheckpointError: If rows are missing.
    """
    return Tables(folder) if any(folder.glob(_FILES.format("*"))) else None


class Tables:
    """Read rows of tables, whoever has written them; each process by itself.

    Args:
        folder: With the files of all processes that wrote.

    Attributes:
        about: What PyTorch knows of each table, by name.

    Raises:
        CheckpointError: If rows are missing.
    """

    def __init__(self, folder: Path) -> None:
        from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader

        self.reader = HuggingFaceStorageReader(str(folder))
        self.metadata = self.reader.read_metadata()
        self.reader.set_up_storage_reader(self.metadata, is_coordinator=True)
        known: Mapping[str, Any] = self.metadata.state_dict_metadata
        # the file of what is no table lies in the same folder
        self.about = {name: one for name, one in known.items() if _MARK in name}
        for name, one in self.about.items():
            if not _complete(one):
                raise CheckpointError(f"{folder}: not each row of {name} is there once.")

    def read(self, names: Iterable[str], wanted: Mapping[str, Rows]) -> dict[str, Tensor]:
        """Return tables by name: the rows that are wanted, all rows of the others.

        Raises:
            CheckpointError: If it has another number of rows.
        """
        from lookalike.models.table_plans import PartsToRead

        rows, found = {}, {}
        for name in names:
            about = self.about[name]
            total = about.size[0]
            own = rows[name] = wanted.get(name, Rows(0, total, total))
            own.check(total)
            shape = own.stop - own.start, *about.size[1:]
            found[name] = torch.empty(shape, dtype=about.properties.dtype)
        planner = PartsToRead(rows)
        planner.set_up_planner(found, self.metadata)
        self.reader.read_data(planner.create_local_plan(), planner).wait()
        return found
