"""A reward for large norms, in bounds."""

from __future__ import annotations

from torch import Tensor

from lookalike.losses.batch_loss import BatchLoss
from lookalike.losses.read import read
from lookalike.types import ModelOutput


class MagnitudeLoss(BatchLoss):
    """Let the norm of an embedding grow as far as its class allows: the regulariser of MagFace.

    Equation: mean of ``a / u ** 2 + 1 / a``, a being the norm between its bounds and u the upper
    one; it falls until the norm reaches u. Together with the head ``MagMargin``, whose margin grows
    with the norm, easy images get long embeddings and hard ones short ones. The paper weights
    it by 35: ``MagnitudeLoss: {weight: 35}``.

    Source: Meng et al., "MagFace", CVPR 2021, eq. 4 (g). https://arxiv.org/abs/2103.06627

    Args:
        lower_norm: Norm below which nothing changes; that of the head.
        upper_norm: u, norm above which nothing changes; that of the head.

    Shape:
        - features: ``[B, D]``, as the head gets them, not normalised.
        - output: scalar.

    Raises:
        ValueError: If the norms do not rise from above 0.

    Example:
        >>> import torch
        >>> MagnitudeLoss()({"features": torch.full((2, 4), 10.0)}, torch.tensor([0, 1]))
        tensor(0.0517)
    """

    reads = ("features",)

    def __init__(self, lower_norm: float = 10.0, upper_norm: float = 110.0) -> None:
        super().__init__()
        if not 0.0 < lower_norm < upper_norm:
            raise ValueError(f"norms must rise from above 0, got {lower_norm} to {upper_norm}.")
        self.lower_norm, self.upper_norm = lower_norm, upper_norm

    def forward(self, output: ModelOutput | Tensor, labels: Tensor) -> Tensor:
        norms = read(output, "features", "MagnitudeLoss").norm(dim=1)
        norms = norms.clamp(self.lower_norm, self.upper_norm)
        reward: Tensor = norms / self.upper_norm**2 + 1.0 / norms
        return reward.mean()
