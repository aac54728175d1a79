"""N-pair loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.pairs import products, same_label
from lookalike.losses.read import read
from lookalike.types import ModelOutput


class NpairsLoss(BatchLoss):
    """Tell an anchor's positive from the positives of all other labels, by inner product.

    Images of one label are paired in the order in which they stand in the batch: the first is an
    anchor with the second as its positive, the third with the fourth, and so on; an odd one left
    over does not count. ``mean CE(a_i . p_j, i) + reg_lambda / 2 mean ||f||^2`` over the pairs.
    Other positives of the anchor's own label are left out of its softmax. The reference does not
    look at labels and takes even rows for anchors, odd rows for their positives.

    Source: Sohn, "Improved Deep Metric Learning with Multi-class N-pair Loss Objective",
    NeurIPS 2016.

    Args:
        reg_lambda: Weight of the squared length of the embeddings.

    Shape:
        - features: ``[B, D]``, not normalised.
        - labels: ``[B]`` or ``[B, 1]`` int64.

    Example:
        >>> features = torch.tensor([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0], [0.0, 9.0]])
        >>> NpairsLoss(reg_lambda=0.0)(features, torch.tensor([0, 0, 1, 1]))
        tensor(0.)
    """

    reads = ("features",)

    def __init__(self, reg_lambda: float = 0.01) -> None:
        super().__init__()
        self.reg_lambda = reg_lambda

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        features = read(output, "features", "NpairsLoss")
        first, second = pair_up(labels.reshape(-1))
        if len(first) == 0:
            return features.sum() * 0.0
        anchors, positives = features[first], features[second]
        pairs = torch.arange(len(first), device=features.device)
        others = same_label(labels.reshape(-1)[first]) & (pairs[:, None] != pairs)
        logits = products(anchors, positives).masked_fill(others, -torch.inf)
        lengths = anchors.square().sum(dim=1).mean() + positives.square().sum(dim=1).mean()
        return F.cross_entropy(logits, pairs) + 0.25 * self.reg_lambda * lengths


def pair_up(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the indices of firsts and seconds, pairing equal labels in their order.

    Example:
        >>> [side.tolist() for side in pair_up(torch.tensor([7, 3, 7, 7, 3, 7]))]
        [[1, 0, 3], [4, 2, 5]]
    """
    order = labels.argsort(stable=True)
    ordered = labels[order]
    places = torch.arange(len(labels), device=labels.device)
    begins = torch.ones_like(ordered, dtype=torch.bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    within = places - torch.where(begins, places, 0).cummax(dim=0).values
    firsts = places[:-1][(within[:-1] % 2 == 0) & ~begins[1:]]
    return order[firsts], order[firsts + 1]
