"""Batch norm between features and embedding."""

from __future__ import annotations

from torch import Tensor, nn

from lookalike.models.reference_batch_norm import reference_batch_norm


def feature_norm(num_features: int, *, weight: bool, bias: bool) -> nn.BatchNorm1d:
    """Return the norm of a neck, with the reference's update of its running variance.

    Args:
        num_features: D, width of the features.
        weight: Multiply each feature by a learned scale.
        bias: Add a learned offset.

    Example:
        >>> sorted(feature_norm(4, weight=False, bias=True).state_dict())
        ['bias', 'num_batches_tracked', 'running_mean', 'running_var']
    """
    norm = nn.BatchNorm1d(num_features)
    for name, exists in (("weight", weight), ("bias", bias)):
        if not exists:
            norm.register_parameter(name, None)
    reference_batch_norm(norm)
    return norm


class BNNeck(nn.Module):
    """Normalise each feature over the batch.

    Metric losses read the features before the neck, the classifier those behind it.

    Source: Luo et al., "Bag of Tricks and A Strong Baseline for Deep Person Re-identification",
    CVPR workshops 2019, section 3.6. https://arxiv.org/abs/1903.07071

    Args:
        num_features: D, width of the features.
        use_global_stats: Normalise with the running statistics in training too, and leave them.
        weight: Multiply each feature by a learned scale.
        bias: Add a learned offset.

    Shape:
        - features: ``[B, D]`` or ``[B, D, 1, 1]``.
        - output: ``[B, D]``.

    Example:
        >>> import torch
        >>> BNNeck(4)(torch.randn(8, 4, 1, 1)).shape
        torch.Size([8, 4])
    """

    def __init__(
        self,
        num_features: int,
        *,
        use_global_stats: bool | None = None,
        weight: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.in_features = self.out_features = num_features
        self.feat_bn = feature_norm(num_features, weight=weight, bias=bias)
        self.use_global_stats = bool(use_global_stats)

    def train(self, mode: bool = True) -> BNNeck:
        """Switch to training; with ``use_global_stats`` the norm stays in evaluation."""
        super().train(mode)
        if self.use_global_stats:
            self.feat_bn.eval()
        return self

    def forward(self, features: Tensor) -> Tensor:
        return self.feat_bn(features.flatten(1))  # type: ignore[no-any-return]
