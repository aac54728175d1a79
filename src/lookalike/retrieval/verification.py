"""Is it the same one: pairs of embeddings against a threshold."""

from __future__ import annotations

import torch
from torch import Tensor

from lookalike.errors import DataError

THRESHOLDS = torch.arange(0.0, 4.0, 0.01, dtype=torch.float64)


def verification_accuracy(embeddings: Tensor, same: Tensor, *, num_folds: int = 10) -> float:
    """Return the share of pairs told right, each fold at the best threshold of the other folds.

    A pair is taken for the same if its squared Euclidean distance is below the threshold, of which
    0, 0.01, ..., 3.99 are tried; of equally good ones the smallest is taken. Folds are consecutive
    pairs, the first ones longer by one where they cannot be equal.

    Source: Huang et al., "Labeled Faces in the Wild", 2007, section 4, unrestricted protocol.

    Args:
        embeddings: ``[2 P, D]`` of length one; rows 2 i and 2 i + 1 are a pair.
        same: ``[P]`` bool.
        num_folds: At most P.

    Raises:
        DataError: If there are fewer pairs than folds.

    Example:
        >>> pairs = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> verification_accuracy(pairs, torch.tensor([True, False]), num_folds=2)
        0.5
    """
    if len(same) < num_folds:
        raise DataError(f"{len(same)} pairs cannot make {num_folds} folds.")
    distance = (embeddings[0::2].double() - embeddings[1::2].double()).square().sum(dim=1)
    right = (distance[:, None] < THRESHOLDS) == same.bool()[:, None]  # [P, thresholds]
    accuracy = []
    for fold in torch.tensor_split(torch.arange(len(same)), num_folds):
        others = torch.ones(len(same), dtype=torch.bool)
        others[fold] = False
        best = right[others].sum(dim=0).argmax()
        accuracy.append(right[fold, best].double().mean())
    return float(torch.stack(accuracy).mean())
