"""A margin head that Lookalike does not ship."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class SphereHead(nn.Module):
    """Cosine classifier with a multiplicative angular margin (SphereFace).

    The true class's logit is ``|x| * psi(theta)`` with ``psi(theta) = (-1)^k cos(m theta) - 2 k``
    for theta in ``[k pi / m, (k + 1) pi / m]``, which falls steadily from 1.

    Source: Liu et al., "SphereFace", CVPR 2017, eq. 6. https://arxiv.org/abs/1704.08063

    Args:
        embedding_size: D, length of one embedding.
        num_classes: C, number of training identities.
        margin: m, a whole number; 1 is no margin.

    Shape:
        - embeddings: ``[B, D]``; labels: ``[B]`` int64 or None.
        - output: ``[B, C]`` logits; without labels or in evaluation, without the margin.
    """

    def __init__(self, embedding_size: int, num_classes: int, *, margin: int = 2) -> None:
        super().__init__()
        if margin < 1:
            raise ValueError(f"margin must be a whole number from 1 on, got {margin}.")
        self.in_features, self.num_classes, self.margin = embedding_size, num_classes, margin
        self.weight = nn.Parameter(torch.empty(num_classes, embedding_size))
        nn.init.xavier_normal_(self.weight)

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the logits."""
        norms = embeddings.norm(dim=1, keepdim=True)
        cosine = F.linear(F.normalize(embeddings), F.normalize(self.weight))
        if labels is None or not self.training:
            return norms * cosine
        rows, columns = torch.arange(len(cosine)), labels.reshape(-1)
        # acos has no finite slope at its ends
        theta = cosine[rows, columns].clamp(-1 + 1e-6, 1 - 1e-6).acos()
        k = (self.margin * theta / torch.pi).floor()
        psi = (1 - 2 * (k % 2)) * torch.cos(self.margin * theta) - 2 * k
        return norms * cosine.index_put((rows, columns), psi)
