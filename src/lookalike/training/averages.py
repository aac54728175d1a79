"""Running means of an epoch and the speed of the last steps."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lookalike import processes


class Averages:
    """Means over an epoch, weighted by batch size, kept on the device until they are read.

    A term that some steps do not have is averaged over the steps that have it.
    """

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Tensor], size: int) -> None:
        """Take in the values of a batch of ``size`` images."""
        for name, value in values.items():
            total = value.detach().double() * size
            self.sums[name] = self.sums[name] + total if name in self.sums else total
            self.counts[name] = self.counts.get(name, 0) + size

    def read(self) -> dict[str, float]:
        """Return the means so far, over all processes; waits for the device."""
        if not self.sums:
            return {}
        sums = torch.stack([total.cpu() for total in self.sums.values()])
        counts = torch.tensor([float(self.counts[name]) for name in self.sums]).double()
        sums, counts = processes.add_up(torch.stack([sums, counts]))
        return dict(zip(self.sums, (sums / counts).tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        sums = {name: float(total) for name, total in self.sums.items()}
        return {"sums": sums, "counts": dict(self.counts)}

    def state_of_all(self) -> dict[str, Any] | list[dict[str, Any]]:
        """Return what a resumed run needs; of several processes, by rank."""
        own = self.state_dict()
        return own if processes.count() == 1 else processes.each(own)

    def load_state_dict(self, state: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """Continue from a saved state; as another number of processes, the first has it all."""
        parts = [state] if isinstance(state, Mapping) else state
        if len(parts) == processes.count():
            self._take(parts[processes.rank()])
            return
        whole: dict[str, dict[str, Any]] = {"sums": {}, "counts": {}}
        for what, found in whole.items():
            for part in parts:
                for name, value in part[what].items():
                    found[name] = found.get(name, 0) + (value if processes.rank() == 0 else 0)
        self._take(whole)

    def _take(self, state: Mapping[str, Any]) -> None:
        self.counts = dict(state["counts"])
        self.sums = {
            name: torch.tensor(value, dtype=torch.float64) for name, value in state["sums"].items()
        }


class Stopwatch:
    """Seconds per batch, and of these the seconds spent waiting for data, since the last print."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin anew."""
        self.batches = self.images = 0
        self.waited = 0.0
        self.started = self.last = time.perf_counter()

    def data_ready(self) -> None:
        """Note that a batch has arrived."""
        self.waited += time.perf_counter() - self.last

    def batch_done(self, images: int) -> None:
        """Note that a step is over."""
        self.last = time.perf_counter()
        self.batches += 1
        self.images += images

    def leave_out(self) -> None:
        """Do not count the time since the last step: it was no training."""
        now = time.perf_counter()
        self.started += now - self.last
        self.last = now

    def batch_cost(self) -> float:
        """Return seconds per batch."""
        return (self.last - self.started) / max(self.batches, 1)

    def reader_cost(self) -> float:
        """Return seconds per batch spent waiting for data."""
        return self.waited / max(self.batches, 1)

    def images_per_second(self) -> float:
        """Return the throughput."""
        return self.images / max(self.last - self.started, 1e-9)

    def costs(self) -> dict[str, float]:
        """Return the three figures by the names they have in the log."""
        return {
            "batch_cost": self.batch_cost(),
            "reader_cost": self.reader_cost(),
            "ips": self.images_per_second(),
        }

    def summary(self, batches_left: int) -> str:
        """Return the costs, the speed and the remaining time as the log line has them."""
        eta = datetime.timedelta(seconds=int(batches_left * self.batch_cost()))
        return (
            f"batch_cost: {self.batch_cost():.5f}s, reader_cost: {self.reader_cost():.5f}, "
            f"ips: {self.images_per_second():.5f} samples/s, eta: {eta}"
        )


def shown(values: Mapping[str, float]) -> str:
    """Write named numbers as a log line has them.

    Example:
        >>> shown({"loss": 0.5})
        'loss: 0.50000'
    """
    return ", ".join(f"{name}: {value:.5f}" for name, value in values.items())
