"""What margin heads share: the cosine of the true class, taken out and put back."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lookalike.models.sharded import Rows


def check_count(embeddings: Tensor, labels: Tensor | None) -> None:
    """Refuse labels that are not one per embedding.

    Args:
        embeddings: ``[B, ...]``.
        labels: ``[B, ...]``, or None.

    Raises:
        ValueError: If their numbers differ.
    """
    if labels is not None and len(labels) != len(embeddings):
        raise ValueError(
            f"the head got {len(labels)} labels for {len(embeddings)} embeddings; each needs one."
        )


def true_class(cosine: Tensor, labels: Tensor) -> Tensor:
    """Return the entry of each row's own class: ``[B, C]`` and ``[B]`` to ``[B]``."""
    return cosine.gather(1, labels.reshape(-1, 1)).squeeze(1)


def with_true_class(cosine: Tensor, labels: Tensor, value: Tensor) -> Tensor:
    """Return the rows with the entry of their own class replaced; others keep their gradient."""
    rows = torch.arange(len(cosine), device=cosine.device)
    return cosine.index_put((rows, labels.reshape(-1)), value)


def add_angle(cosine: Tensor, cos_margin: Tensor | float, sin_margin: Tensor | float) -> Tensor:
    """Return ``cos(theta + margin)`` from ``cos(theta)``.

    1e-6 keeps the gradient of the root finite where an embedding sits on its class weight.
    """
    sine = (1.0 - cosine.square()).clamp_min(0.0).add(1e-6).sqrt()
    return cosine * cos_margin - sine * sin_margin


def angular_margin(cosine: Tensor, margin: Tensor | float, *, easy: bool = False) -> Tensor:
    """Return ``cos(theta + margin)``, continued so that it never rises.

    Past ``theta > pi - margin`` the cosine would rise again; there the straight line
    ``cos(theta) - margin * sin(margin)`` takes over.

    Args:
        cosine: ``[B]``.
        margin: One angle in radians, or one per image ``[B]``.
        easy: Instead of the straight line, apply no margin where ``theta >= pi / 2``.
    """
    if isinstance(margin, Tensor):
        cos_margin: Tensor | float = margin.cos()
        sin_margin: Tensor | float = margin.sin()
    else:
        cos_margin, sin_margin = math.cos(margin), math.sin(margin)
    with_margin = add_angle(cosine, cos_margin, sin_margin)
    if easy:
        return torch.where(cosine > 0.0, with_margin, cosine)
    return torch.where(cosine > -cos_margin, with_margin, cosine - margin * sin_margin)


_DRAWN = 1 << 16


def class_weight(embedding_size: int, num_classes: int, rows: Rows | None = None) -> nn.Parameter:
    """Return one direction per class ``[C, D]``, drawn with variance 2 / (C + D).

    Args:
        embedding_size: D.
        num_classes: C.
        rows: Keep these alone, with the values they have among all; no more than them and a few
            thousand others are ever held.

    Raises:
        ValueError: If a size is not positive.
    """
    for name, size in (("embedding_size", embedding_size), ("num_classes", num_classes)):
        if size < 1:
            raise ValueError(f"{name} must be positive, got {size}.")
    if rows is None or not rows.partial:
        weight = nn.Parameter(torch.empty(num_classes, embedding_size))
        nn.init.xavier_normal_(weight)
        return weight
    own = torch.empty(rows.stop - rows.start, embedding_size)
    deviation = math.sqrt(2.0 / (num_classes + embedding_size))
    for first in range(0, num_classes, _DRAWN):
        drawn = torch.empty(min(_DRAWN, num_classes - first), embedding_size)
        drawn.normal_(0.0, deviation)
        start, stop = max(first, rows.start), min(first + len(drawn), rows.stop)
        if start < stop:
            own[start - rows.start : stop - rows.start] = drawn[start - first : stop - first]
    return nn.Parameter(own)


def check_scale(scale: float) -> None:
    """Refuse a scale that would turn or flatten the logits.

    Raises:
        ValueError: If it is not positive.
    """
    if scale <= 0.0:
        raise ValueError(f"scale must be positive, got {scale}.")
