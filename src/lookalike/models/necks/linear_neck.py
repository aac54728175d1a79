"""One linear layer to the embedding."""

from __future__ import annotations

from torch import Tensor, nn

from lookalike.models.initialise import xavier_normal


class LinearNeck(nn.Module):
    """Map features to embeddings with one linear layer.

    Args:
        in_features: F, width of the backbone's features.
        out_features: D, length of the embedding.
        bias: Add a learned offset.

    Shape:
        - features: ``[B, F]``, or ``[B, F, 1, 1]``.
        - output: ``[B, D]``.

    Example:
        >>> import torch
        >>> LinearNeck(8, 4)(torch.randn(2, 8, 1, 1)).shape
        torch.Size([2, 4])
    """

    def __init__(self, in_features: int, out_features: int, *, bias: bool = True) -> None:
        super().__init__()
        if in_features < 1 or out_features < 1:
            raise ValueError(
                f"in_features and out_features must be positive, got {in_features} and "
                f"{out_features}."
            )
        self.in_features, self.out_features = in_features, out_features
        self.fc = nn.Linear(in_features, out_features, bias=bias)
        xavier_normal(self.fc)

    def forward(self, features: Tensor) -> Tensor:
        return self.fc(features.flatten(1))  # type: ignore[no-any-return]
