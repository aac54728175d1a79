"""Running means of an epoch and the speed of the last steps."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping

import torch
from torch import Tensor


class Averages:
    """Means over an epoch, weighted by batch size, kept on the device until they are read."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, values: Mapping[str, Tensor], size: int) -> None:
        """Take in the values of a batch of ``size`` images."""
        for name, value in values.items():
            total = value.detach().double() * size
            self.sums[name] = self.sums[name] + total if name in self.sums else total
        self.count += size

    def read(self) -> dict[str, float]:
        """Return the means so far; waits for the device."""
        return {name: float(total) / max(self.count, 1) for name, total in self.sums.items()}

    def state_dict(self) -> dict[str, float | int]:
        """Return what a resumed run needs."""
        return {"count": self.count, **{f"sum.{k}": float(v) for k, v in self.sums.items()}}

    def load_state_dict(self, state: Mapping[str, float | int]) -> None:
        """Continue from a saved state."""
        self.count = int(state["count"])
        self.sums = {
            key.removeprefix("sum."): torch.tensor(value, dtype=torch.float64)
            for key, value in state.items()
            if key.startswith("sum.")
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
