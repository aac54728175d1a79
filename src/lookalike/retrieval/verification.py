"""Is it the same one: pairs of embeddings against a threshold."""

from __future__ import annotations

import torch
from torch import Tensor

from lookalike.errors import DataError
from lookalike.retrieval.rows import computable, first_not_finite
from lookalike.table_parts import read_embeddings

THRESHOLDS = torch.arange(0.0, 4.0, 0.01, dtype=torch.float64)


def verification_accuracy(embeddings: Tensor, same: Tensor, *, num_folds: int = 10) -> float:
    """Return the share of pairs told right, each fold at the best threshold of the other folds.

    A pair is taken for the same if its squared Euclidean distance is below the threshold, of which
    0, 0.01, ..., 3.99 are tried; of equally good ones the smallest is taken. Folds are consecutive
    pairs, the first ones longer by one where they cannot be equal.

    Source: Huang et al., "Labeled Faces in the Wild", 2007, section 4, unrestricted protocol.

    Args:
        embeddings: ``[2 P, D]``, of length one or all zero; rows 2 i and 2 i + 1 are a pair.
        same: ``[P]`` bool.
        num_folds: 2 to P.

    Raises:
        DataError: If there are fewer pairs than folds, the parts do not fit each other, or an
            embedding is not finite or not of length one.

    Example:
        >>> pairs = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> verification_accuracy(pairs, torch.tensor([True, False]), num_folds=2)
        0.5
    """
    embeddings = computable(read_embeddings(embeddings))
    if same.ndim != 1 or len(embeddings) != 2 * len(same):
        shapes = f"{list(same.shape)} answers for {list(embeddings.shape)} embeddings"
        raise DataError(f"two embeddings for each pair expected, got {shapes}.")
    if not 2 <= num_folds <= len(same):
        raise DataError(f"{len(same)} pairs cannot make {num_folds} folds.")
    if (row := first_not_finite(embeddings)) is not None:
        raise DataError(f"the embedding of row {row} is not finite.")
    length = torch.linalg.vector_norm(embeddings, dim=1)
    odd = ((length - 1.0).abs() > 1e-3) & (length > 0.0)
    if odd.any():
        row = int(odd.nonzero()[0])
        raise DataError(
            f"the embedding of row {row} has length {float(length[row]):.4g}; the thresholds are "
            "those of unit vectors (lookalike.geometry.unit)."
        )
    distance = (embeddings[0::2].double() - embeddings[1::2].double()).square().sum(dim=1)
    right = (distance[:, None] < THRESHOLDS) == same.bool()[:, None]  # [P, thresholds]
    accuracy = []
    for fold in torch.tensor_split(torch.arange(len(same)), num_folds):
        others = torch.ones(len(same), dtype=torch.bool)
        others[fold] = False
        best = right[others].sum(dim=0).argmax()
        accuracy.append(right[fold, best].double().mean())
    return float(torch.stack(accuracy).mean())
