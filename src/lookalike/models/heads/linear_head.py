"""A plain linear classifier."""

from __future__ import annotations

from torch import Tensor, nn

from lookalike.models.heads.target import check_count
from lookalike.models.initialise import xavier_normal


class LinearHead(nn.Module):
    """Classify embeddings with one linear layer; labels are not needed.

    Args:
        embedding_size: D, length of one embedding.
        num_classes: C, number of training identities.
        bias: Add a learned offset.

    Shape:
        - embeddings: ``[B, D]``.
        - output: ``[B, C]`` logits.

    Example:
        >>> import torch
        >>> LinearHead(8, 3)(torch.randn(4, 8)).shape
        torch.Size([4, 3])
    """

    def __init__(self, embedding_size: int, num_classes: int, *, bias: bool = True) -> None:
        super().__init__()
        self.in_features, self.num_classes = embedding_size, num_classes
        self.fc = nn.Linear(embedding_size, num_classes, bias=bias)
        xavier_normal(self.fc)

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        check_count(embeddings, labels)
        return self.fc(embeddings)  # type: ignore[no-any-return]
