"""Supervised contrastive learning."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.directions import directions
from lookalike.losses.pair_gradient import loss_of_pairs, mean_shares, softmax_
from lookalike.losses.partners import Partners
from lookalike.losses.read import read
from lookalike.types import ModelOutput


class SupCon(BatchLoss):
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
        features, labels = read(output, "features", "SupConLoss"), labels.reshape(-1)
        every = self.views if self.contrast_mode == "one" else 1
        own = torch.arange(0, len(features), every, device=features.device)
        partners = Partners(labels[::every], labels, own)
        positives = partners.num_positives.to(features.dtype)[:, None]
        shares = mean_shares(partners.num_positives > 0, features) / self.base_temperature

        def block_loss(block: Tensor, part: slice) -> Tensor:
            near, share, count = partners.of(part), shares[part], positives[part].clamp_min(1.0)
            mean = near.read(block).masked_fill_(~near.positive, 0.0).sum(dim=1, keepdim=True)
            block.scatter_(1, own[part, None], -torch.inf)
            total = softmax_(block.div_(self.temperature)) * self.temperature
            near.add_(block.mul_(share), -share / count * near.positive)
            return (share * (total - mean / count)).sum()

        if every == 1:
            return loss_of_pairs(features, None, block_loss, normalize=self.normalize)
        features = directions(features) if self.normalize else features
        return loss_of_pairs(features[::every], features, block_loss)
