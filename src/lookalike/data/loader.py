"""Data set and sampler to batches of tensors, in workers, resumable at any batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from lookalike.data.draws import Draw, Draws, Plan
from lookalike.data.randomness import mix, reseed, seeded, streams_kept
from lookalike.errors import DataError, LookalikeError
from lookalike.types import Batch, BatchSampler, ImageSource, PairedBatch, Sample


@dataclass(frozen=True)
class _Failure:
    """What went wrong with a batch, on its way from a worker.

    An exception raised inside a worker would arrive wrapped in its traceback, after a wait of
    five seconds for each worker.
    """

    message: str


def collate(samples: Iterable[Sample], number: int) -> Batch:
    """Put samples into a batch, each as soon as it is made: its memory is then used again.

    Args:
        samples: As many as ``number``.
        number: Images of the batch, B.

    Raises:
        DataError: If the images differ in size, naming both sizes.
    """
    images: Tensor | None = None
    facts: list[tuple[int, int, int]] = []
    for row, sample in enumerate(samples):
        image = sample.image
        if images is None:
            images = _room(number, image)
        elif image.shape != images.shape[1:]:
            sizes = sorted({tuple(images.shape[1:]), tuple(image.shape)})
            raise DataError(
                f"the images of a batch differ in size: {sizes}; end the transforms with a "
                "resize or crop to a fixed size."
            )
        images[row] = image
        facts.append((sample.label, sample.camera, sample.index))
    assert images is not None
    labels, cameras, indices = (torch.tensor(column) for column in zip(*facts, strict=True))
    return Batch(images, labels, cameras, indices)


def _room(number: int, image: Tensor) -> Tensor:
    """Return memory for so many images; in a worker such as the other process can read."""
    shape = (number, *image.shape)
    if get_worker_info() is None and image.dtype == torch.float32:
        # numpy asks for large pages: three times faster to fill for the first time
        return torch.from_numpy(np.empty(shape, dtype=np.float32))
    if get_worker_info() is None:
        return torch.empty(shape, dtype=image.dtype)
    # what a worker sends is copied to shared memory unless it is there
    storage: Any = torch.UntypedStorage
    shared: Any = torch.empty(0, dtype=image.dtype)
    room: Tensor = shared.set_(storage._new_shared(number * image.nbytes), 0, shape)
    return room


def _raise_failures(batches: Iterable[Batch | _Failure]) -> Iterator[Batch]:
    for batch in batches:
        if isinstance(batch, _Failure):
            raise DataError(batch.message)
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
    ) -> None:
        self.dataset, self.sampler, self.seed = dataset, sampler, seed
        self.num_workers, self.prefetch_factor = num_workers, prefetch_factor
        self.pin_memory, self.mixture = pin_memory, mixture
        self.draws = Draws(sampler, seed)

    def __len__(self) -> int:
        return len(self.sampler)

    def start(self, batch: int = 0, plan: Plan | None = None) -> Iterator[Batch]:
        """Yield the batches from the given place of the stream on.

        Args:
            batch: Number of the first one.
            plan: What :meth:`plan_of` said of it; saves planning all the epochs before.
        """
        self.draws = Draws(self.sampler, self.seed, batch, plan)
        loaded = _raise_failures(
            _torch_loader(
                self.dataset,
                self.draws,
                self.num_workers,
                self.prefetch_factor,
                self.pin_memory,
            )
        )
        return loaded if self.mixture is None else self._mixed(loaded, batch)

    def plan_of(self, batch: int) -> Plan:
        """Return the plan that a batch of the stream is in, or one before; for :meth:`start`."""
        return self.draws.plan_of(batch)

    def _mixed(self, batches: Iterator[Batch], first: int) -> Iterator[Batch]:
        assert self.mixture is not None
        for number, batch in enumerate(batches, start=first):
            with seeded(mix(self.seed, number)):
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
) -> Batches:
    """Return the batches of one plan of the sampler, for evaluation.

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
    return read_batches(dataset, plan, num_workers, prefetch_factor, pin_memory)


def read_batches(
    dataset: ImageSource,
    plan: Sequence[Sequence[int]],
    num_workers: int = 0,
    prefetch_factor: int | None = None,
    pin_memory: bool = False,
) -> Batches:
    """Return the batches of a plan: lists of indices, of any of the images."""
    draws = [[(i, mix(i)) for i in batch] for batch in plan]
    loader = _torch_loader(dataset, draws, num_workers, prefetch_factor, pin_memory)
    return Batches(loader, plan)


def _torch_loader(
    dataset: ImageSource,
    draws: Iterable[list[Draw]],
    num_workers: int,
    prefetch_factor: int | None,
    pin_memory: bool,
) -> Any:
    images: Any = _Seeded(dataset)
    batches: Any = draws
    return DataLoader(
        images,
        batch_sampler=batches,
        num_workers=num_workers,
        prefetch_factor=prefetch_factor if num_workers else None,
        collate_fn=_as_it_is,
        pin_memory=pin_memory,
        generator=torch.Generator(),
    )


class _Seeded(Dataset[Batch | _Failure]):
    """Reads the images of a batch, each under the seed that its draw carries."""

    def __init__(self, dataset: ImageSource) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, draws: Sequence[Draw]) -> Batch | _Failure:
        try:
            with streams_kept():
                return collate(map(self._read, draws), len(draws))
        except LookalikeError as error:
            return _Failure(str(error))

    def _read(self, draw: Draw) -> Sample:
        index, seed = draw
        reseed(seed)
        return self.dataset[index]


def _as_it_is(batch: Any) -> Any:
    return batch
