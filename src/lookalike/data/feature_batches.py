"""Batches of what a frozen backbone has computed, in place of images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lookalike.data.draws import Draws, Plan
from lookalike.types import Batch, BatchSampler, ImageSource

Rows = Callable[[NDArray[np.int64]], Tensor]
"""Data-set indices to the features of these images."""


class FeatureBatches:
    """A stream of training batches without an end: that of EndlessBatches, images being features.

    Args:
        rows: Called when a stream starts; returns what gives the features.
        dataset: Where the images come from.
        sampler: Plans the batches.
        num_workers: Processes that read the images whose features are not there yet.
    """

    def __init__(
        self,
        rows: Callable[[], Rows],
        dataset: ImageSource,
        sampler: BatchSampler,
        *,
        num_workers: int = 0,
    ) -> None:
        self.rows, self.dataset, self.sampler = rows, dataset, sampler
        self.num_workers, self.draws = num_workers, Draws(sampler)

    def __len__(self) -> int:
        return len(self.sampler)

    def plan_of(self, batch: int) -> Plan:
        """Return the plan that a batch of the stream is in, or one before; for :meth:`start`."""
        return self.draws.plan_of(batch)

    def start(self, batch: int = 0, plan: Plan | None = None) -> Iterator[Batch]:
        """Yield the batches from the given place of the stream on."""
        self.draws = Draws(self.sampler, start=batch, plan=plan)
        plans = ([index for index, _ in batch] for batch in self.draws)
        return _batches(plans, self.rows(), self.dataset)


class PlannedFeatures:
    """The batches of a plan, for evaluation; may be read again and again."""

    def __init__(self, plan: Sequence[Sequence[int]], rows: Rows, dataset: ImageSource) -> None:
        self.plan, self.rows, self.dataset = plan, rows, dataset

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Batch]:
        return _batches(iter(self.plan), self.rows, self.dataset)


def _batches(plan: Iterator[Sequence[int]], rows: Rows, dataset: ImageSource) -> Iterator[Batch]:
    labels = torch.from_numpy(np.asarray(dataset.labels, dtype=np.int64))
    cameras = torch.full_like(labels, -1)
    if dataset.cameras is not None:
        cameras = torch.from_numpy(np.asarray(dataset.cameras, dtype=np.int64))
    for batch in plan:
        indices = torch.tensor(batch)
        yield Batch(rows(indices.numpy()), labels[indices], cameras[indices], indices)
