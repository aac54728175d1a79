"""Parameters of which every process has some rows."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from lookalike import processes
from lookalike.errors import CheckpointError


@dataclass(frozen=True)
class Rows:
    """Which rows of a table this process has.

    Attributes:
        start: The first.
        stop: The one after the last.
        total: Rows of the whole table.
    """

    start: int
    stop: int
    total: int

    @staticmethod
    def of(total: int) -> Rows:
        """Deal the rows to the processes, as equally as they go.

        Raises:
            ValueError: If there are fewer rows than processes.

        Example:
            >>> Rows.of(10)
            Rows(start=0, stop=10, total=10)
        """
        number, many = processes.rank(), processes.count()
        if total < many:
            raise ValueError(
                f"sharded deals at least one class to each of {many} processes, got "
                f"{total} classes."
            )
        return Rows(total * number // many, total * (number + 1) // many, total)

    def check(self, total: int) -> None:
        """Refuse a table of another length.

        Raises:
            CheckpointError: With both lengths.
        """
        if total != self.total:
            raise CheckpointError(
                f"a table of {total} rows is dealt to the processes; this run's has {self.total}. "
                "The number of classes, or the model, has changed."
            )

    @property
    def partial(self) -> bool:
        """Whether others have some rows."""
        return self.stop - self.start < self.total

    def times(self, number: int) -> Rows:
        """Return the rows of a table with ``number`` rows for each."""
        return Rows(self.start * number, self.stop * number, self.total * number)


def sharded_parameters(module: nn.Module) -> dict[str, Rows]:
    """Return the parameters of which each process has its own rows, by name.

    A module tells of its own in an attribute ``sharded``: name to :class:`Rows`.
    """
    found: dict[str, Rows] = {}
    for prefix, part in module.named_modules():
        own = getattr(part, "sharded", None)
        if isinstance(own, dict):
            found |= {f"{prefix}.{name}".lstrip("."): rows for name, rows in own.items()}
    return found


def stepped_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters by name as optimisers step them.

    A model whose optimisers step other tensors tells so in an attribute ``own_rows``.
    """
    return dict(module.named_parameters()) | getattr(module, "own_rows", {})
