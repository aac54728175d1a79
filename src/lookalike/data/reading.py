"""The images of a batch, read under their seeds; what a worker process does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch.utils.data import Dataset

from lookalike.data.batch_memory import BatchMemory, in_shared_memory
from lookalike.data.datasets.image_dataset import ImageDataset
from lookalike.data.draws import Draw
from lookalike.data.randomness import reseed, streams_kept
from lookalike.data.workers import Desks
from lookalike.errors import DataError, LookalikeError, SetupError
from lookalike.types import BadImage, Batch, BatchSampler, ImageSource, Sample


@dataclass(frozen=True)
class Failure:
    """What went wrong with a batch, on its way from a worker.

    An exception raised inside a worker would arrive wrapped in its traceback, after a wait of
    five seconds for each worker.

    Attributes:
        message: For a person.
        of_the_machine: It is a :class:`SetupError`, and not of the data.
    """

    message: str
    of_the_machine: bool = False


def collate(samples: Iterable[Sample], number: int, memory: BatchMemory | None = None) -> Batch:
    """Put samples into a batch, each as soon as it is made: its memory is then used again.

    Args:
        samples: As many as ``number``.
        number: Images of the batch, B.
        memory: Where that of the batch comes from.

    Raises:
        DataError: If the images differ in size, naming both sizes.
    """
    memory, images = memory or BatchMemory(), None
    facts: list[tuple[int, int, int]] = []
    for row, sample in enumerate(samples):
        image = sample.image
        if images is None:
            images = memory.room((number, *image.shape), image.dtype)
        elif image.shape != images.shape[1:]:
            sizes = sorted({tuple(images.shape[1:]), tuple(image.shape)})
            raise DataError(
                f"the images of a batch differ in size: {sizes}; end the transforms with a "
                "resize or crop to a fixed size."
            )
        if image.data_ptr() != images[row].data_ptr():
            images[row] = image
        memory.offer(images, row + 1)
        facts.append((sample.label, sample.camera, sample.index))
    assert images is not None
    labels, cameras, indices = (torch.tensor(column) for column in zip(*facts, strict=True))
    return Batch(images, labels, cameras, indices)


class Seeded(Dataset[Batch | Failure]):
    """Reads the images of a batch, each under the seed that its draw carries."""

    def __init__(self, dataset: ImageSource) -> None:
        self.dataset, self.memory = dataset, BatchMemory()
        self.desks: Desks | None = None

    def __len__(self) -> int:
        return len(self.dataset)

    def name(self, index: int) -> str:
        """Return what messages call an image's file."""
        files = getattr(self.dataset, "files", None)
        return self.dataset.paths[index] if files is None else str(files.name(index))

    def __getitems__(self, draws: Sequence[Draw]) -> Batch | Failure:
        self.memory.row = None
        try:
            with streams_kept():
                return in_shared_memory(self._batch(draws))
        except LookalikeError as error:
            return Failure(str(error), isinstance(error, SetupError))
        finally:
            self._note(None)

    def _note(self, index: int | None) -> None:
        if self.desks is not None:
            self.desks.note(index)

    def _batch(self, draws: Sequence[Draw]) -> Batch:
        return collate(map(self._read, draws), len(draws), self.memory)

    def _read(self, draw: Draw) -> Sample:
        index, seed = draw
        self._note(index)
        reseed(seed)
        if isinstance(self.dataset, ImageDataset):
            return self.dataset.read_into(index, self.memory.row)
        return self.dataset[index]


class SkippingSeeded(Seeded):
    """Leaves out the images of a batch that cannot be read, and says which.

    Args:
        dataset: Images and labels.
        whole_labels: Leave out all images of a bad one's label: where a label's images are dealt
            together, losses expect all of them, and one alone has no partner.
    """

    def __init__(self, dataset: ImageSource, *, whole_labels: bool) -> None:
        super().__init__(dataset)
        self.whole_labels = whole_labels

    def _batch(self, draws: Sequence[Draw]) -> Batch:
        try:
            return super()._batch(draws)
        except DataError:
            # rare, so the good ones are read once more
            return self._rest(draws)

    def _rest(self, draws: Sequence[Draw]) -> Batch:
        samples, bad = list[Sample](), list[BadImage]()
        self.memory.row = None
        for draw in draws:
            try:
                samples.append(self._read(draw))
            except DataError as error:
                bad.append(BadImage(draw[0], str(error)))
        if self.whole_labels:
            gone = {self.dataset.labels[one.index] for one in bad}
            samples = [one for one in samples if one.label not in gone]
        enough = len({one.label for one in samples}) if self.whole_labels else len(samples)
        if bad and enough < 2:
            return _empty(tuple(bad))
        return replace(collate(samples, len(samples)), bad=tuple(bad))


def _empty(bad: tuple[BadImage, ...]) -> Batch:
    nothing = [torch.empty(0, dtype=torch.int64) for _ in range(3)]
    return Batch(torch.empty(0), *nothing, bad=bad)


def deals_groups(sampler: BatchSampler) -> bool:
    """Tell whether a sampler, or one of several in it, deals the images of a label together."""
    inner = getattr(sampler, "samplers", ())
    return getattr(sampler, "images_per_label", 1) > 1 or any(map(deals_groups, inner))
