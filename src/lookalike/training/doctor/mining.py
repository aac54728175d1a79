"""Losses over pairs that find no pair to learn from."""

from __future__ import annotations

import torch
from torch import Tensor

from lookalike.training.doctor.look import Finding, Look

LOOKS = 20


_DEAL = (
    "deal labels in groups (DistributedRandomIdentitySampler, PKSampler) and leave out labels with "
    "one image (lookalike check --data lists them)"
)


class DeadMining:
    """Nothing to learn from in 20 looks: no image has a partner of its label, or a term is zero.

    Both are looked for, because a loss that takes an image for its own partner is not zero without
    partners: it only pushes apart.

    Args:
        name: Of the term of a loss over pairs.
    """

    def __init__(self, name: str) -> None:
        self.name, self.alone, self.zero, self.partners = name, 0, 0, 0.0

    def __call__(self, look: Look) -> Finding | None:
        if look.labels is None:
            return None
        share = share_with_partner(look.labels)
        self.alone = 0 if share else self.alone + 1
        is_zero = look.terms.get(self.name) == 0.0
        self.zero = self.zero + 1 if is_zero else 0
        self.partners = self.partners + share if is_zero else 0.0
        if self.alone >= LOOKS:
            return Finding(
                f"dead mining: {self.name} has nothing to pull together",
                f"no image had a partner of its label in {LOOKS} batches",
                _DEAL,
            )
        return self._satisfied() if self.zero >= LOOKS else None

    def _satisfied(self) -> Finding:
        share = self.partners / self.zero
        far = (
            "every triplet is farther apart than the margin: raise the margin, take harder batches "
            "(more labels in a batch), or stop here"
        )
        return Finding(
            f"dead mining: {self.name} finds nothing",
            f"exactly 0 for {LOOKS} looks; {share:.0%} of the images had a partner of their label "
            "in the batch",
            far if share >= 0.5 else _DEAL,
        )


def share_with_partner(labels: Tensor) -> float:
    """Return the share of images ``[B]`` whose label another image has, too.

    Example:
        >>> share_with_partner(torch.tensor([3, 3, 1, 2]))
        0.5
    """
    counts = torch.unique(labels, return_counts=True)[1]
    return float(counts[counts > 1].sum()) / max(1, len(labels))
