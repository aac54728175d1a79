"""Initial weights computed from the features of the training images.

A random neck and head pull a good pretrained backbone apart before they have learnt anything;
started from the data they agree with it from the first step.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lookalike.geometry import unit


def lda(
    features: Tensor, labels: Tensor, size: int, *, shrinkage: float = 0.1
) -> tuple[Tensor, Tensor]:
    """Return a linear map whose output separates the classes best.

    The features are centred, whitened by the within-class covariance (shrunk towards a multiple
    of the identity), and projected onto the directions in which the class means spread most.

    Source: Fisher's linear discriminant for many classes (Rao, 1948); shrinkage after Friedman,
    "Regularized Discriminant Analysis", JASA 1989.

    Args:
        features: ``[N, F]``.
        labels: ``[N]``; classes with one image add nothing to the within-class covariance.
        size: D, length of the result.
        shrinkage: 0 takes the covariance as it is, 1 only its mean variance.

    Returns:
        weight ``[D, F]`` and bias ``[D]``, for ``features @ weight.T + bias``.

    Raises:
        ValueError: If there are fewer than two classes, or size exceeds F.
    """
    features = features.double()
    _, cls = torch.unique(labels, return_inverse=True)
    num_classes = int(cls.max()) + 1
    width = features.shape[1]
    if num_classes < 2 or size > width:
        raise ValueError(f"LDA needs 2 classes and size <= {width}; got {num_classes}, {size}.")
    counts = torch.bincount(cls, minlength=num_classes).double()
    means = torch.zeros(num_classes, width, dtype=torch.float64).index_add_(0, cls, features)
    means /= counts[:, None]
    centre = features.mean(dim=0)
    within = features - means[cls]
    covariance = within.T @ within / max(len(features) - num_classes, 1)
    mean_variance = covariance.diagonal().mean()
    covariance = (1.0 - shrinkage) * covariance
    covariance.diagonal().add_(shrinkage * mean_variance)
    variances, axes = torch.linalg.eigh(covariance)
    whiten = axes * variances.clamp_min(1e-12 * float(variances.max())).rsqrt()
    spread = ((means - centre) * counts.sqrt()[:, None]) @ whiten
    # eigh sorts rising; the directions of the largest spread are the last ones
    _, directions = torch.linalg.eigh(spread.T @ spread)
    weight = (whiten @ directions[:, -size:].flip(1)).T
    return weight.float(), -(weight @ centre).float()


def class_means(embeddings: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Return the mean direction of each class ``[C, D]``, of unit length (weight imprinting).

    Classes without an image get a random direction.

    Source: Qi et al., "Low-Shot Learning with Imprinted Weights", CVPR 2018, eq. 5.
    https://arxiv.org/abs/1712.07136
    """
    directions = unit(embeddings)
    sums = torch.zeros(num_classes, directions.shape[1]).index_add_(0, labels, directions)
    empty = torch.bincount(labels, minlength=num_classes) == 0
    sums[empty] = torch.randn(int(empty.sum()), directions.shape[1])
    return unit(sums)
