"""The nouns that more than one room shares. No behaviour beyond their own data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from lookalike.embedding_table import EmbeddingTable as EmbeddingTable

ModelOutput = dict[str, Any]
"""What a model returns, by name.

``backbone`` is the tapped layer, ``neck`` the neck's output if there is one, ``features`` the
embedding ``[B, D]``, ``logits`` the head's output ``[B, C]`` if there is a head. A model made of
several (distillation) maps each model's name to such a dictionary.
"""


@dataclass(frozen=True)
class Sample:
    """One image of a data set, decoded and transformed.

    Attributes:
        image: ``[3, H, W]`` float32.
        label: Class or identity, from 0.
        camera: Third column of the list file, -1 if there is none. A camera, a view, or an id
            that is unique to the image; retrieval never counts a pair that shares both label
            and camera.
        index: Position in the data set; ``dataset.paths[index]`` is the file.
    """

    image: Tensor
    label: int
    camera: int
    index: int


@dataclass(frozen=True)
class BadImage:
    """An image that could not be read: its place in the data set, and why."""

    index: int
    message: str


@dataclass(frozen=True)
class Batch:
    """B samples: images ``[B, 3, H, W]``; labels, cameras and indices ``[B]`` int64.

    Where images are mixed, labels are targets ``[B, C]`` float32. ``bad`` are images that were
    left out; B is 0 where too few were left.
    """

    images: Tensor
    labels: Tensor
    cameras: Tensor
    indices: Tensor
    bad: tuple[BadImage, ...] = field(default=(), kw_only=True)

    def to(self, device: torch.device) -> Batch:
        """Copy images and labels to a device; cameras and indices stay where they are."""
        return Batch(
            self.images.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
            self.cameras,
            self.indices,
            bad=self.bad,
        )

    def pin_memory(self) -> Batch:
        """Move to page-locked memory; the data loader calls this when it feeds a GPU."""
        images, labels = self.images.pin_memory(), self.labels.pin_memory()
        return Batch(images, labels, self.cameras, self.indices, bad=self.bad)

    def rows(self, chosen: Tensor) -> Batch:
        """Return the samples where ``chosen`` ``[B]`` is True."""
        here = chosen.to(self.images.device)
        return Batch(
            self.images[here],
            self.labels[here],
            self.cameras[chosen],
            self.indices[chosen],
            bad=self.bad,
        )


@dataclass(frozen=True)
class PairedBatch(Batch):
    """A batch with a second one beside it, of another sampler."""

    meta: Batch

    def to(self, device: torch.device) -> PairedBatch:
        """Copy both to a device."""
        first = Batch.to(self, device)
        return PairedBatch(
            first.images, first.labels, first.cameras, first.indices, self.meta.to(device)
        )


@dataclass(frozen=True)
class ParamRule:
    """How the optimiser treats one parameter differently from the others.

    A module states such rules in an attribute ``param_rules: dict[str, ParamRule]``, keyed by the
    parameter's name inside that module.

    Attributes:
        lr_multiplier: Factor on the learning rate.
        weight_decay: Coefficient that replaces the run's own, or is added to it with AdamW; None
            keeps it.
        decay_kind: ``L1`` or ``L2``, for ``weight_decay``.
    """

    lr_multiplier: float = 1.0
    weight_decay: float | None = None
    decay_kind: str = "L2"


@runtime_checkable
class ImageSource(Protocol):
    """What training needs of a data set."""

    @property
    def labels(self) -> Sequence[int]: ...

    @property
    def cameras(self) -> Sequence[int] | None: ...

    @property
    def paths(self) -> Sequence[str]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


@runtime_checkable
class PartialLogits(Protocol):
    """What a head returns that never holds the logits of all classes.

    Attributes:
        ranks: ``[B]`` int64 once the cross-entropy is computed: how many classes have a larger
            logit than the true one.
    """

    ranks: Tensor | None

    def cross_entropy(self, label_smoothing: float = 0.0) -> Tensor:
        """Return the cross-entropy of each image ``[B]``."""
        ...


class BatchSampler(Protocol):
    """Plans the batches of one pass over the data, as lists of data-set indices.

    ``plan(epoch)`` depends on nothing but the sampler's arguments and ``epoch``, so a run can be
    resumed at any batch. ``len()`` is the number of optimiser steps that make an epoch.
    """

    def __len__(self) -> int: ...

    def plan(self, epoch: int) -> Iterator[list[int]]: ...
