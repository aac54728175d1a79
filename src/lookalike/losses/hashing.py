"""Losses for embeddings that become binary codes by their signs."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lookalike.geometry import unit
from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.pairs import products, same_label, squared_distances
from lookalike.losses.read import read
from lookalike.types import ModelOutput


class DSHSDLoss(BatchLoss):
    """Deep supervised hashing based on stable distribution: pairs by distance, plus classes.

    ``alpha * mean_ij [d^2 / 2 if same label, else max(0, 2 D - d^2) / 2]`` and the cross-entropy
    of the logits. The mean is over all B x B pairs.

    Source: Wu et al., "Deep Supervised Hashing Based on Stable Distribution", IEEE Access 2019.
    https://ieeexplore.ieee.org/document/8648432

    Args:
        alpha: Weight of the pairs.
        multi_label: Each class is a yes or no of its own, instead of one out of C.

    Shape:
        - features: ``[B, D]``.
        - logits: ``[B, C]``.
        - labels: ``[B]`` or ``[B, 1]`` int64, or ``[B, C]`` 0/1: pairs share a class or not.

    Example:
        >>> output = {"features": torch.zeros(2, 4), "logits": torch.zeros(2, 2)}
        >>> DSHSDLoss(alpha=1.0)(output, torch.tensor([1, 1]))
        tensor(0.6931)
    """

    reads = ("features", "logits")

    def __init__(self, alpha: float, multi_label: bool = False) -> None:
        super().__init__()
        self.alpha, self.multi_label = alpha, multi_label

    def forward(self, output: ModelOutput, labels: Tensor) -> Tensor:
        features = read(output, "features", "DSHSDLoss")
        logits = read(output, "logits", "DSHSDLoss")
        squared = squared_distances(features)
        apart = (2.0 * features.shape[1] - squared).relu()
        pairs = torch.where(same_label(labels), squared, apart).mean() / 2.0
        target = labels
        if labels.ndim == 1 or labels.shape[1] == 1:
            target = F.one_hot(labels.reshape(-1), logits.shape[1])
        target = target.to(logits.dtype)
        if self.multi_label:
            each = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        else:
            each = -target * logits.log_softmax(dim=1)
        return each.sum(dim=1).mean() + self.alpha * pairs


class LCDSHLoss(BatchLoss):
    """Locality-constrained deep supervised hashing.

    With ``p = f_i . f_j / 2`` cut to [-50, 50], ``s = +1`` for one label and ``-1`` for two, and
    ``q`` the same product of the signs: ``mean log(1 + exp(-s p))`` plus the weight times
    ``mean (sigmoid(p) - sigmoid(q))^2``, over all B x B pairs.

    Source: Zhu and Gao, "Locality-Constrained Deep Supervised Hashing for Image Retrieval",
    IJCAI 2017. https://www.ijcai.org/Proceedings/2017/0499.pdf

    Args:
        quantization_weight: Weight of the second term, which draws the embeddings to codes.

    Shape:
        - features: ``[B, D]``.
        - labels: ``[B]`` or ``[B, 1]`` int64, or ``[B, C]`` 0/1: pairs share a class or not.

    Example:
        >>> LCDSHLoss(quantization_weight=1.0)(torch.zeros(2, 4), torch.tensor([0, 1]))
        tensor(0.6931)
    """

    reads = ("features",)

    def __init__(self, quantization_weight: float) -> None:
        super().__init__()
        self.quantization_weight = quantization_weight

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        features = read(output, "features", "LCDSHLoss")
        product = (products(features, features) / 2.0).clamp(-50.0, 50.0)
        codes = features.detach().sign()
        code_product = products(codes, codes) / 2.0
        alike = F.softplus(torch.where(same_label(labels), -product, product)).mean()
        locality = (product.sigmoid() - code_product.sigmoid()).square().mean()
        return alike + self.quantization_weight * locality


class DCHLoss(BatchLoss):
    """Deep Cauchy hashing: a heavy-tailed likelihood of the Hamming distance.

    With ``d = D (1 - min(cos, 0.99)) / 2`` the loss of a pair is ``s log(d / gamma) +
    log(1 + gamma / d)``, s being 1 for one label and 0 for two; pairs of the two kinds are
    weighted to equal sums. The embeddings are drawn to codes by
    ``mean log(1 + d(|f|, 1) / gamma)``.

    Source: Cao et al., "Deep Cauchy Hashing for Hamming Space Retrieval", CVPR 2018.

    Args:
        gamma: Hamming radius within which codes of one label should lie.
        quantization_weight: Weight of the last term.

    Shape:
        - features: ``[B, D]``, any norm; only their direction counts.
        - labels: ``[B]`` or ``[B, 1]`` int64, or ``[B, C]`` 0/1: pairs share a class or not.

    Raises:
        ValueError: If gamma is not positive.

    Example:
        >>> DCHLoss(gamma=20.0, quantization_weight=0.1)(torch.eye(4), torch.arange(4)).shape
        torch.Size([])
    """

    reads = ("features",)

    def __init__(self, gamma: float, quantization_weight: float) -> None:
        super().__init__()
        if gamma <= 0.0:
            raise ValueError(f"gamma is a Hamming radius and must be positive; got {gamma}.")
        self.gamma, self.quantization_weight = gamma, quantization_weight

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        features = read(output, "features", "DCHLoss")
        directions, same = unit(features), same_label(labels)
        num_pairs, num_same = same.numel(), same.sum().to(directions.dtype)
        weight = torch.where(
            same, num_pairs / num_same, num_pairs / (num_pairs - num_same).clamp_min(1.0)
        )
        distance = self._hamming(products(directions, directions), features.shape[1])
        far = (distance / self.gamma).log().masked_fill(~same, 0.0)
        pairs = weight * (far + (self.gamma / distance).log1p())
        ones = unit(torch.ones_like(features[:1]))
        to_code = self._hamming(products(directions.abs(), ones), features.shape[1])
        quantization = (to_code / self.gamma).log1p().mean()
        return pairs.mean() + self.quantization_weight * quantization

    @staticmethod
    def _hamming(cosine: Tensor, num_bits: int) -> Tensor:
        return (1.0 - cosine.clamp_max(0.99)) * num_bits / 2.0
