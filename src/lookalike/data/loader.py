"""Data set and sampler to batches of tensors, in workers, resumable at any batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lookalike.data.draws import Draw, Draws, Plan, Share
from lookalike.data.randomness import mix, seeded
from lookalike.data.reading import Failure, Seeded, SkippingSeeded, deals_groups
from lookalike.data.transforms.kernels import compiled
from lookalike.data.workers import DEFAULT_TIMEOUT, LOOK, WatchedLoader
from lookalike.errors import DataError, SetupError
from lookalike.types import Batch, BatchSampler, ImageSource, PairedBatch


def _raise_failures(batches: Iterable[Batch | Failure]) -> Iterator[Batch]:
    for batch in batches:
        if isinstance(batch, Failure):
            raise (SetupError if batch.of_the_machine else DataError)(batch.message)
        yield batch


class Batches:
    """Batches of one pass over a data set, with their number.

    Args:
        loader: Yields batches, or failures.
        plan: The indices of each.
    """

    def __init__(self, loader: Any, plan: Sequence[Sequence[int]]) -> None:
        self.loader, self.plan = loader, plan

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        return _raise_failures(self.loader)


class EndlessBatches:
    """A stream of training batches without an end, from plan after plan of a sampler.

    The augmentation of an image depends on the run's seed and on its place in the stream, so the
    stream is the same for any number of workers, and starting at batch n gives exactly what the
    uninterrupted stream gives from n on.

    Args:
        dataset: Images and labels.
        sampler: Plans the batches.
        seed: Of the augmentations.
        num_workers: Processes that read images; 0 reads in this one.
        prefetch_factor: Batches each worker keeps ready.
        pin_memory: Ready the batches for a GPU.
        mixture: Mixes the images of each batch; labels become targets ``[B, C]``.
        skip_bad: Leave out images that cannot be read, with all images of their label in the batch
            where a sampler deals labels in groups; a batch with fewer than two images (labels) left
            is empty. What is left out stands in the batch. False makes it an error.
        timeout: Seconds an image may take in a worker; 0 waits for ever.
        share: Read only this process's part of each batch, as one of several.
    """

    def __init__(
        self,
        dataset: ImageSource,
        sampler: BatchSampler,
        *,
        seed: int = 0,
        num_workers: int = 0,
        prefetch_factor: int | None = None,
        pin_memory: bool = False,
        mixture: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
        skip_bad: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
        share: Share = (0, 1),
    ) -> None:
        self.dataset, self.sampler, self.seed = dataset, sampler, seed
        self.timeout = timeout
        self.num_workers, self.prefetch_factor = num_workers, prefetch_factor
        self.pin_memory, self.mixture = pin_memory, mixture
        self.skip_bad, self.share = skip_bad, share
        self.draws = Draws(sampler, seed, share=share)

    def __len__(self) -> int:
        return len(self.sampler)

    def start(self, batch: int = 0, plan: Plan | None = None) -> Iterator[Batch]:
        """Yield the batches from the given place of the stream on.

        Args:
            batch: Number of the first one.
            plan: What :meth:`plan_of` said of it; saves planning all the epochs before.
        """
        self.draws = Draws(self.sampler, self.seed, batch, plan, share=self.share)
        read = Seeded(self.dataset)
        if self.skip_bad:
            read = SkippingSeeded(self.dataset, whole_labels=deals_groups(self.sampler))
        loaded = _raise_failures(
            _torch_loader(
                read,
                self.draws,
                self.num_workers,
                self.prefetch_factor,
                self.pin_memory,
                self.timeout,
            )
        )
        return loaded if self.mixture is None else self._mixed(loaded, batch)

    def plan_of(self, batch: int) -> Plan:
        """Return the plan that a batch of the stream is in, or one before; for :meth:`start`."""
        return self.draws.plan_of(batch)

    def _mixed(self, batches: Iterator[Batch], first: int) -> Iterator[Batch]:
        assert self.mixture is not None
        for number, batch in enumerate(batches, start=first):
            if batch.bad and len(batch.labels) % 2:
                # some mixtures go by pairs
                batch = batch.rows(torch.arange(len(batch.labels)) > 0)
            if not len(batch.labels):
                yield batch
                continue
            # the first process mixes as one alone does
            place = (number, *self.share[:1]) if self.share[0] else (number,)
            with seeded(mix(self.seed, *place)):
                images, targets = self.mixture(batch.images, batch.labels)
            yield replace(batch, images=images, labels=targets)


class PairedBatches:
    """Two endless streams side by side; the first one's length makes an epoch."""

    def __init__(self, first: EndlessBatches, second: EndlessBatches) -> None:
        self.first, self.second = first, second
        self.num_workers = first.num_workers

    def __len__(self) -> int:
        return len(self.first)

    def plan_of(self, batch: int) -> tuple[Plan, Plan]:
        """Return the plans that a pair of batches is in."""
        return self.first.plan_of(batch), self.second.plan_of(batch)

    def start(self, batch: int = 0, plan: tuple[Plan, Plan] | None = None) -> Iterator[PairedBatch]:
        """Yield the pairs of batches from the given place of the streams on."""
        plans = plan or (None, None)
        streams = self.first.start(batch, plans[0]), self.second.start(batch, plans[1])
        for one, other in zip(*streams, strict=False):
            yield PairedBatch(one.images, one.labels, one.cameras, one.indices, other)


def make_loader(
    dataset: ImageSource,
    sampler: BatchSampler,
    *,
    num_workers: int = 0,
    prefetch_factor: int | None = None,
    pin_memory: bool = False,
    timeout: float = DEFAULT_TIMEOUT,
    share: Share = (0, 1),
) -> Batches:
    """Return the batches of one plan of the sampler, for evaluation.

    As one of several processes it reads its share of them: every so many-th batch, whole, so that
    each image is embedded in the batch that one process alone would have it in.

    Raises:
        DataError: If the plan leaves images out or takes some twice.
    """
    plan = list(sampler.plan(0))
    planned = sum(len(batch) for batch in plan)
    if planned != len(dataset) or len({i for batch in plan for i in batch}) != planned:
        raise DataError(
            f"the sampler plans {planned} of {len(dataset)} images for the evaluation; every image "
            "must be read once: set drop_last: False and use a sampler without identities."
        )
    process, of = share
    own = plan[process::of]
    return read_batches(dataset, own, num_workers, prefetch_factor, pin_memory, timeout)


def read_batches(
    dataset: ImageSource,
    plan: Sequence[Sequence[int]],
    num_workers: int = 0,
    prefetch_factor: int | None = None,
    pin_memory: bool = False,
    timeout: float = DEFAULT_TIMEOUT,
) -> Batches:
    """Return the batches of a plan: lists of indices, of any of the images."""
    draws = [[(i, mix(i)) for i in batch] for batch in plan]
    read = Seeded(dataset)
    loader = _torch_loader(read, draws, num_workers, prefetch_factor, pin_memory, timeout)
    return Batches(loader, plan)


def _torch_loader(
    read: Seeded,
    draws: Iterable[list[Draw]],
    num_workers: int,
    prefetch_factor: int | None,
    pin_memory: bool,
    timeout: float,
) -> Any:
    if num_workers:
        # processes that are forked have the kernels then, without importing numba each
        compiled()
    batches: Any = draws
    loader = DataLoader(
        read,
        batch_sampler=batches,
        num_workers=num_workers,
        prefetch_factor=prefetch_factor if num_workers else None,
        collate_fn=_as_it_is,
        pin_memory=pin_memory,
        timeout=LOOK if num_workers else 0,
        generator=torch.Generator(),
    )
    return WatchedLoader(loader, read.name, timeout) if num_workers else loader


def _as_it_is(batch: Any) -> Any:
    return batch
