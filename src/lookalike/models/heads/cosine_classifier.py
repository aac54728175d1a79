"""What the heads share whose logits depend on the cosines alone."""

# Shape letters: B = batch, D = embedding dimension, C = classes, K = centres of a class

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from lookalike import processes
from lookalike.geometry import cosines, unit
from lookalike.models.heads.logits_in_parts import LogitsInParts, RowUpdate
from lookalike.models.heads.target import (
    check_count,
    check_scale,
    class_weight,
    true_class,
    with_true_class,
)
from lookalike.models.sharded import Rows

_CHUNK = 1000


class CosineClassifier(nn.Module, ABC):
    """Scaled cosines with class weights, of which the true class's is changed.

    With ``chunk_size`` or ``sample_rate`` the training output is a
    :class:`~lookalike.models.heads.logits_in_parts.LogitsInParts`, which the loss ``CELoss`` and
    the metric ``TopkAcc`` understand: memory no longer grows with B times C.

    Args:
        embedding_size: D, length of one embedding.
        num_classes: C, number of training identities.
        scale: Multiplier of every cosine. No unit.
        num_centers: K; the nearest centre of a class counts.
        chunk_size: Classes whose logits are held at once; None holds all ``[B, C]``.
        sample_rate: Share of the classes that take part in a step (Partial FC): those of the
            batch, and others drawn anew for each step.
        sharded: Deal the classes to the processes of the run, so that weights, gradients and
            momentum are split over them; each embeds its own images. Counts in training only.

    Attributes:
        sharded: Which rows of the parameter ``weight`` this process has; empty if it has all.
        first_class: The first class of these rows.
        update: Steps the weight within the backward pass; set by who owns the optimiser.

    Raises:
        ValueError: If a size is not positive, or the rate is outside (0, 1].
    """

    def __init__(
        self,
        embedding_size: int,
        num_classes: int,
        scale: float,
        *,
        num_centers: int = 1,
        chunk_size: int | None = None,
        sample_rate: float = 1.0,
        sharded: bool = False,
    ) -> None:
        super().__init__()
        check_scale(scale)
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"chunk_size must be a positive number of classes, got {chunk_size}.")
        if not 0.0 < sample_rate <= 1.0:
            raise ValueError(f"sample_rate must be in (0, 1], got {sample_rate}.")
        self.in_features, self.num_classes, self.scale = embedding_size, num_classes, scale
        self.num_centers, self.chunk_size = num_centers, chunk_size
        self.sample_rate = sample_rate
        self.update: RowUpdate | None = None
        own = Rows.of(num_classes) if sharded else Rows(0, num_classes, num_classes)
        self.first_class, self.deals = own.start, sharded
        rows = own.times(num_centers)
        self.sharded = {"weight": rows} if rows.partial else {}
        self.weight = class_weight(embedding_size, rows.total, rows)

    @abstractmethod
    def own(self, cosine: Tensor) -> Tensor:
        """Change the true class's cosines ``[B]``."""

    def others(self, cosine: Tensor) -> Tensor:
        """Change the other classes' cosines."""
        return cosine

    def slope(self, cosine: Tensor) -> Tensor | float:
        """Return the derivative of ``others``."""
        return 1.0

    @property
    def in_parts(self) -> bool:
        """Whether the logits are never all held."""
        return self.deals or self.chunk_size is not None or self.sample_rate < 1.0

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor | LogitsInParts:
        check_count(embeddings, labels)
        if labels is not None and self.training and self.in_parts:
            return self._parts(embeddings, labels.reshape(-1))
        if self.sharded:
            # the other classes are elsewhere, and so are other images
            return embeddings.new_empty(len(embeddings), 0)
        cosine = cosines(embeddings, self.weight)
        if self.num_centers > 1:
            cosine = cosine.view(-1, self.num_classes, self.num_centers).amax(2)
        if labels is None or not self.training:
            return cosine
        own = self.own(true_class(cosine, labels))
        return self.scale * with_true_class(self.others(cosine), labels, own)

    def _parts(self, embeddings: Tensor, labels: Tensor) -> LogitsInParts:
        classes, embeddings = None, unit(embeddings)
        if self.sharded:
            embeddings, labels = processes.gathered(embeddings), processes.gathered(labels)
            labels = labels - self.first_class
        if self.sample_rate < 1.0:
            here = (labels >= 0) & (labels < len(self.weight) // self.num_centers)
            classes = self._sample(labels[here])
            labels = torch.searchsorted(classes, labels).where(here, -1)
        return LogitsInParts(
            embeddings=embeddings,
            weight=self.weight,
            labels=labels,
            margin=self,
            num_centers=self.num_centers,
            chunk_size=self.chunk_size or _CHUNK,
            classes=classes,
            update=self.update,
            dealt=bool(self.sharded),
        )

    def _sample(self, labels: Tensor) -> Tensor:
        """Draw the classes of a step: the batch's own, filled up at random to the rate.

        Source: An et al., "Partial FC", CVPR 2022, section 3.3. https://arxiv.org/abs/2203.15565
        """
        present: Tensor = torch.unique(labels)
        here = len(self.weight) // self.num_centers
        number = max(round(self.sample_rate * here), 1)
        if len(present) >= number:
            return present
        keys = torch.rand(here, device=labels.device)
        keys[present] = 2.0
        return keys.topk(number, sorted=False).indices.sort().values
