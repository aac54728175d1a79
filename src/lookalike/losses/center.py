"""Distance to a learned centre per class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.read import read
from lookalike.types import ModelOutput


class CenterLoss(BatchLoss):
    """Mean squared distance of the embeddings to the centre of their class.

    ``1/B sum_i ||f_i - c_y(i)||^2``. The centres are parameters and the optimiser trains them like
    any other; in the paper they have a rule of their own.

    Source: Wen et al., "A Discriminative Feature Learning Approach for Deep Face Recognition",
    ECCV 2016, eq. 2, without its factor 1/2.

    Args:
        num_classes: C, number of training identities.
        embedding_size: D, length of one embedding.
        feature_from: Name of the model's output to work on.

    Shape:
        - features: ``[B, D]``; ``[B, D, 1, 1]`` is flattened.
        - labels: ``[B]`` or ``[B, 1]`` int64, from 0 to C - 1.

    Example:
        >>> loss = CenterLoss(num_classes=2, embedding_size=2)
        >>> loss(loss.centers[[1, 0]], torch.tensor([1, 0])).item()
        0.0
    """

    reads = ("features",)

    def __init__(
        self, num_classes: int, embedding_size: int, feature_from: str = "features"
    ) -> None:
        super().__init__()
        self.num_classes, self.feature_from = num_classes, feature_from
        self.reads = (feature_from,)
        self.centers = nn.Parameter(torch.randn(num_classes, embedding_size))

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        features = read(output, self.feature_from, "CenterLoss")
        labels = labels.reshape(-1)
        if len(labels) and (labels.min() < 0 or labels.max() >= self.num_classes):
            raise ValueError(
                f"CenterLoss has centres for labels 0 to {self.num_classes - 1}; the batch holds "
                f"labels {int(labels.min())} to {int(labels.max())}. Set num_classes to at least "
                f"{int(labels.max()) + 1}."
            )
        if features.shape[1] != self.centers.shape[1]:
            raise ValueError(
                f"'{self.feature_from}' has {features.shape[1]} numbers, the centres of CenterLoss "
                f"have {self.centers.shape[1]}; set embedding_size (feat_dim) to the former."
            )
        return (features - self.centers[labels]).square().sum(dim=1).mean()
