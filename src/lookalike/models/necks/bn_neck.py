"""Batch norm between features and embedding."""

from __future__ import annotations

from torch import Tensor, nn

from lookalike.models.reference_batch_norm import reference_batch_norm


class BNNeck(nn.Module):
    """Normalise each feature over the batch.

    Metric losses read the features before the neck, the classifier those behind it.

    Source: Luo et al., "Bag of Tricks and A Strong Baseline for Deep Person Re-identification",
    CVPR workshops 2019, section 3.6. https://arxiv.org/abs/1903.07071

    Args:
        num_features: D, width of the features.
        use_global_stats: Normalise with the running statistics in training too, and leave them.

    Shape:
        - features: ``[B, D]`` or ``[B, D, 1, 1]``.
        - output: ``[B, D]``.

    Example:
        >>> import torch
        >>> BNNeck(4)(torch.randn(8, 4, 1, 1)).shape
        torch.Size([8, 4])
    """

    def __init__(self, num_features: int, *, use_global_stats: bool | None = None) -> None:
        super().__init__()
        self.in_features = self.out_features = num_features
        self.feat_bn = nn.BatchNorm1d(num_features)
        reference_batch_norm(self)
        self.use_global_stats = bool(use_global_stats)

    def train(self, mode: bool = True) -> BNNeck:
        """Switch to training; with ``use_global_stats`` the norm stays in evaluation."""
        super().train(mode)
        if self.use_global_stats:
            self.feat_bn.eval()
        return self

    def forward(self, features: Tensor) -> Tensor:
        return self.feat_bn(features.flatten(1))  # type: ignore[no-any-return]
