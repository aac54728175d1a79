"""Supervised contrastive learning."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from lookalike.losses.pairs import products
from lookalike.losses.read import read
from lookalike.types import ModelOutput


class SupCon(nn.Module):
    """Pull images of one label together against all other images of the batch.

    Every image of the batch is an anchor; its positives are all others with its label. An anchor
    without a positive does not count. Unlike the reference's, this loss looks at the labels, so
    the batch may hold any number of images per label in any order.

    Source: Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, eq. 2.
    https://arxiv.org/abs/2004.11362

    Args:
        views: Images per label in a batch, as the sampler deals them. Only ``contrast_mode: one``
            needs it: the first of each group of ``views`` is an anchor.
        temperature: Divides the similarities. No unit.
        contrast_mode: ``all`` images are anchors, or ``one`` per group of views.
        base_temperature: The loss is scaled by ``temperature / base_temperature``.
        normalize: Scale the embeddings to length one first.

    Shape:
        - features: ``[B, D]``.
        - labels: ``[B]`` or ``[B, 1]`` int64.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> SupCon(views=2)({"features": features}, torch.tensor([0, 0, 1, 1])).item() < 1e-5
        True
    """

    reads = ("features",)

    def __init__(
        self,
        views: int = 16,
        temperature: float = 0.07,
        contrast_mode: Literal["all", "one"] = "all",
        base_temperature: float = 0.07,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        if temperature <= 0.0 or base_temperature <= 0.0:
            raise ValueError("temperatures must be positive.")
        self.views, self.contrast_mode, self.normalize = views, contrast_mode, normalize
        self.temperature, self.base_temperature = temperature, base_temperature

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        features = read(output, "features", "SupConLoss", normalize=self.normalize)
        labels = labels.reshape(-1)
        anchors = torch.arange(len(features), device=features.device)
        if self.contrast_mode == "one":
            anchors = anchors[:: self.views]
        logits = products(features[anchors], features) / self.temperature
        itself = anchors[:, None] == torch.arange(len(features), device=features.device)
        logits = logits.masked_fill(itself, float("-inf"))
        log_probability = logits - logits.logsumexp(dim=1, keepdim=True)
        positive = (labels[anchors, None] == labels) & ~itself
        num_positives = positive.sum(dim=1)
        total = log_probability.masked_fill(~positive, 0.0).sum(dim=1)
        has_positive = num_positives > 0
        if not has_positive.any():
            return features.sum() * 0.0
        mean = total[has_positive] / num_positives[has_positive]
        return -(self.temperature / self.base_temperature) * mean.mean()
