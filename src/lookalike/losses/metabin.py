"""Losses of MetaBIN, which trains on several domains so as to work on an unknown one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lookalike.geometry import unit
from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.cross_entropy import Reduction, cross_entropy
from lookalike.losses.pairs import distances, mean_where, products, same_label
from lookalike.losses.read import read
from lookalike.losses.triplet import batch_hard
from lookalike.types import ModelOutput

Labels = Tensor | Mapping[str, Tensor]


def _field(labels: Labels, key: str, loss: str) -> Tensor:
    """Return the labels or the domains of a batch, ``[B]``."""
    if isinstance(labels, Tensor):
        if key == "label":
            return labels.reshape(-1)
        raise ValueError(
            f"{loss} needs the domain (camera) of every image; give it a mapping with 'label' and "
            "'domain' in place of the labels."
        )
    return labels[key].reshape(-1)


class CELossForMetaBIN(BatchLoss):
    """Cross-entropy with label smoothing that takes ``epsilon`` away from the true class.

    The usual smoothing spreads it over all classes, the true one included; here the others get
    ``epsilon / (C - 1)`` each, so the effective epsilon is ``epsilon C / (C - 1)``.

    Source: Choi et al., "Meta Batch-Instance Normalization for Generalizable Person
    Re-Identification", CVPR 2021. https://arxiv.org/abs/2011.14670

    Args:
        epsilon: Probability taken from the true class, in [0, 1); null is 0.
        reduction: As in CrossEntropy.

    Shape:
        - logits: ``[B, C]``.
        - labels: ``[B]`` int64, or a mapping with ``label``.

    Example:
        >>> CELossForMetaBIN(epsilon=0.1)(torch.zeros(1, 2), torch.tensor([0]))
        tensor(0.6931)
    """

    reads = ("logits",)

    def __init__(self, epsilon: float | None = None, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction: Reduction = reduction
        self.epsilon = epsilon if epsilon is not None and 0.0 < epsilon < 1.0 else 0.0

    def forward(self, output: ModelOutput | Tensor, labels: Labels) -> Tensor:
        logits = read(output, "logits", "CELossForMetaBIN")
        num_classes = logits.shape[1]
        smoothing = min(1.0, self.epsilon * num_classes / max(num_classes - 1, 1))
        target = _field(labels, "label", "CELossForMetaBIN")
        return cross_entropy(logits, target, smoothing, self.reduction)


class TripletLossForMetaBIN(BatchLoss):
    """Batch-hard triplet loss, as TripletLossV2 but by default of embeddings as they are.

    Source: Choi et al., "Meta Batch-Instance Normalization", CVPR 2021.
    https://arxiv.org/abs/2011.14670

    Args:
        margin: In units of the distance.
        normalize: Scale the embeddings to length one first.
        feature_from: Name of the model's output to work on.

    Shape:
        - features: ``[B, D]``.
        - labels: ``[B]`` int64, or a mapping with ``label``.

    Example:
        >>> loss = TripletLossForMetaBIN(margin=1.0)
        >>> loss(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1]))
        tensor(0.)
    """

    reads = ("features",)

    def __init__(
        self, margin: float = 1.0, normalize: bool = False, feature_from: str = "features"
    ) -> None:
        super().__init__()
        self.margin, self.normalize = margin, normalize
        self.feature_from, self.reads = feature_from, (feature_from,)

    def forward(self, output: ModelOutput | Tensor, labels: Labels) -> Tensor:
        loss = "TripletLossForMetaBIN"
        features, labels = read(output, self.feature_from, loss), _field(labels, "label", loss)
        return batch_hard(features, labels, self.margin, normalize=self.normalize)


class IntraDomainScatterLoss(BatchLoss):
    """Scatter the images of each domain: mean cosine to the domain's centre.

    Source: Choi et al., "Meta Batch-Instance Normalization", CVPR 2021.
    https://arxiv.org/abs/2011.14670

    Args:
        normalize: Scale the embeddings to length one before the centres are taken.
        feature_from: Name of the model's output to work on.

    Shape:
        - features: ``[B, D]``.
        - labels: A mapping with ``domain``, ``[B]`` int64.

    Example:
        >>> loss = IntraDomainScatterLoss()
        >>> loss(torch.ones(2, 3), {"domain": torch.tensor([0, 1])}).item() > 0.999
        True
    """

    reads = ("features",)

    def __init__(self, normalize: bool = True, feature_from: str = "features") -> None:
        super().__init__()
        self.normalize = normalize
        self.feature_from, self.reads = feature_from, (feature_from,)

    def forward(self, output: ModelOutput | Tensor, labels: Labels) -> Tensor:
        loss = "IntraDomainScatterLoss"
        features = read(output, self.feature_from, loss, normalize=self.normalize)
        domains = _field(labels, "domain", loss)
        member = same_label(domains).to(features.dtype)
        sizes = member.sum(dim=1)
        centers = products(member, features.T) / sizes[:, None]
        cosine = (unit(features) * unit(centers)).sum(dim=1)
        # a mean of the domains' means: each image has a share of its domain's one vote
        return (cosine / sizes).sum() / (1.0 / sizes).sum()


class InterDomainShuffleLoss(BatchLoss):
    """Mix the domains: draw other domains' images near, push other ids of the own domain away.

    The loss of an anchor is ``log(1 + exp(max d(a, other domain) - min d(a, other id, own
    domain)))``. An anchor that lacks one of the two does not count.

    Source: Choi et al., "Meta Batch-Instance Normalization", CVPR 2021.
    https://arxiv.org/abs/2011.14670

    Args:
        normalize: Scale the embeddings to length one first.
        feature_from: Name of the model's output to work on.

    Shape:
        - features: ``[B, D]``.
        - labels: A mapping with ``label`` and ``domain``, ``[B]`` int64 each.

    Example:
        >>> labels = {"label": torch.tensor([0, 1, 2]), "domain": torch.tensor([0, 0, 1])}
        >>> InterDomainShuffleLoss()(torch.ones(3, 2), labels)
        tensor(0.6931)
    """

    reads = ("features",)

    def __init__(self, normalize: bool = True, feature_from: str = "features") -> None:
        super().__init__()
        self.normalize = normalize
        self.feature_from, self.reads = feature_from, (feature_from,)

    def forward(self, output: ModelOutput | Tensor, labels: Labels) -> Tensor:
        loss = "InterDomainShuffleLoss"
        features = read(output, self.feature_from, loss, normalize=self.normalize)
        if len(features) == 0:
            return features.sum()
        same_domain = same_label(_field(labels, "domain", loss))
        same_id = same_label(_field(labels, "label", loss))
        near, far = ~same_domain, same_domain & ~same_id
        distance = distances(features)
        positive = distance.masked_fill(~near, -torch.inf).amax(dim=1)
        negative = distance.masked_fill(~far, torch.inf).amin(dim=1)
        return mean_where(F.softplus(positive - negative), near.any(dim=1) & far.any(dim=1))
