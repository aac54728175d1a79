"""Relations between all pairs of a batch: which belong together, how near they are."""

from __future__ import annotations

import torch
from torch import Tensor

NOTHING = -1e9  # log(0): exp of it is 0, and unlike -inf it can be added to and has a gradient


def same_label(labels: Tensor, others: Tensor | None = None) -> Tensor:
    """Tell for each pair whether the two share a label.

    Args:
        labels: ``[A]`` or ``[A, 1]`` int64; or ``[A, C]`` 0/1: sharing one class is enough.
        others: ``[B]`` likewise; ``labels`` itself if None.

    Returns:
        ``[A, B]`` bool.

    Example:
        >>> same_label(torch.tensor([3, 5]), torch.tensor([5, 5, 3])).tolist()
        [[False, False, True], [True, True, False]]
    """
    others = labels if others is None else others
    if labels.ndim == 2 and labels.shape[1] > 1:
        return labels.float() @ others.float().T > 0
    return labels.reshape(-1, 1) == others.reshape(1, -1)


def itself(features: Tensor) -> Tensor:
    """Return ``[B, B]`` bool, true where an image would be paired with itself."""
    return torch.eye(len(features), dtype=torch.bool, device=features.device)


def products(a: Tensor, b: Tensor) -> Tensor:
    """Return the inner product of every row of ``a`` with every row of ``b``, ``[A, B]``.

    Autocast would round it to three digits, so it is off in here.
    """
    with torch.autocast(a.device.type, enabled=False):
        return a @ b.T.to(a.dtype)


def squared_distances(features: Tensor) -> Tensor:
    """Return the squared Euclidean distance of every pair, ``[B, B]``, from inner products.

    The vectors are moved to their mean first, which changes no distance but keeps its digits.

    Example:
        >>> squared_distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]])).tolist()
        [[0.0, 25.0], [25.0, 0.0]]
    """
    moved = features - features.detach().mean(dim=0)
    norms = moved.square().sum(dim=1)
    squared = norms[:, None] + norms - 2.0 * products(moved, moved)
    return squared.masked_fill(itself(features), 0.0).clamp_min(0.0)


def distances(features: Tensor) -> Tensor:
    """Return the Euclidean distance of every pair, at least 1e-6 so that it has a gradient."""
    return squared_distances(features).clamp_min(1e-12).sqrt()


def masked_logsumexp(values: Tensor, mask: Tensor) -> Tensor:
    """Return log(sum(exp)) of each row over the places of a mask; about -1e9 where it is empty."""
    return values.masked_fill(~mask, NOTHING).logsumexp(dim=1)


def mean_where(values: Tensor, counts: Tensor) -> Tensor:
    """Return the mean of the values that count; 0, with a gradient of 0, if none does.

    Example:
        >>> mean_where(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([True, False, True]))
        tensor(2.5000)
    """
    return values.masked_fill(~counts, 0.0).sum() / counts.sum().clamp_min(1)
