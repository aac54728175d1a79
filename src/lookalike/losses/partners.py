"""Who shares a label with whom, as places in the rows of a matrix of pairs instead of a mask.

Few pairs of a batch share a label. Reading and writing just those leaves the passes over all pairs
without a mask.
"""

# Shape letters: A = anchors, B = images they are paired with, R = anchors in a block,
# M = most images that share the label of any anchor

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lookalike.losses.pairs import same_label


class PartnersOfBlock(NamedTuple):
    """The pairs with one label in some rows of a matrix of pairs."""

    columns: Tensor  # [R, M] int64; filled up with repetitions
    same: Tensor  # [R, M] bool, false for repetitions
    positive: Tensor  # [R, M] bool, ``same`` without the anchor itself
    alone: Tensor  # [R, 1] bool, true for an anchor whose row has no pair with one label

    def read(self, block: Tensor) -> Tensor:
        """Return the values ``[R, M]`` of a block ``[R, B]``."""
        return block.gather(1, self.columns)

    def fill_(self, block: Tensor, value: float) -> Tensor:
        """Overwrite all pairs with one label, the anchor with itself included."""
        kept = self.read(block).masked_fill_(~self.alone, value)
        return block.scatter_(1, self.columns, kept)

    def add_(self, block: Tensor, values: Tensor) -> Tensor:
        """Add ``[R, M]`` values, 0 for repetitions."""
        return block.scatter_add_(1, self.columns, values)


class Partners:
    """Pairs with one label between anchors and others.

    Args:
        labels: ``[A]`` or ``[A, 1]`` int64; or ``[A, C]`` 0/1: sharing one class is enough.
        others: ``[B]`` likewise. If None they are the anchors, and none is its own positive.
        own: ``[A]``, where the anchors stand among the others, -1 for one that does not.

    Example:
        >>> partners = Partners(torch.tensor([3, 5, 3]))
        >>> partners.num_positives.tolist(), partners.num_negatives.tolist()
        ([1, 0, 1], [1, 2, 1])
        >>> partners.of(slice(0, 1)).columns.tolist()
        [[0, 2]]
    """

    def __init__(
        self, labels: Tensor, others: Tensor | None = None, own: Tensor | None = None
    ) -> None:
        if others is None:
            own = torch.arange(len(labels), device=labels.device)
        others = labels if others is None else others
        self._own = own
        itself = labels.new_zeros((), dtype=torch.int64) if own is None else (own >= 0).long()
        if labels.ndim == 2 and labels.shape[1] > 1:
            same = same_label(labels, others)
            order, self._count = same.nonzero()[:, 1], same.sum(dim=1)
            self._first = self._count.cumsum(dim=0) - self._count
            if own is not None:  # an image without any class shares none with itself
                itself = itself * same.gather(1, own.clamp_min(0)[:, None])[:, 0]
        else:
            labels = labels.reshape(-1).contiguous()
            ordered, order = others.reshape(-1).to(labels.dtype).sort(stable=True)
            self._first = torch.searchsorted(ordered, labels)
            self._count = torch.searchsorted(ordered, labels, right=True) - self._first
        self._order = F.pad(order, (0, 1))  # an anchor alone reads the place behind its own
        self.num_same, self.num_positives = self._count, self._count - itself
        self.num_negatives = len(others) - self._count
        self._most = _largest(self._count, len(others))

    @property
    def has_both(self) -> Tensor:
        """Tell of each anchor whether it has both a positive and a negative, ``[A]``."""
        return (self.num_positives > 0) & (self.num_negatives > 0)

    def of(self, part: slice) -> PartnersOfBlock:
        """Return the pairs of the anchors of a slice."""
        first, count = self._first[part, None], self._count[part, None]
        steps = torch.arange(self._most, device=count.device)
        places = first + torch.minimum(steps, (count - 1).clamp_min(0))
        columns = self._order[places]
        same = steps < count
        positive = same if self._own is None else same & (columns != self._own[part, None])
        return PartnersOfBlock(columns, same, positive, count == 0)


def _largest(counts: Tensor, bound: int) -> int:
    """Return the largest count, at least 1; its bound where an accelerator had to be waited for."""
    known = counts.device.type == "cpu" and len(counts) > 0
    return max(int(counts.max()), 1) if known else bound
