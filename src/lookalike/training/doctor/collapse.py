"""All embeddings alike."""

from __future__ import annotations

from torch import Tensor

from lookalike.geometry import unit
from lookalike.training.doctor.look import Finding, Look

# 0.99 is an angle of 8 degrees between any two images, whatever they show
SPREAD = 0.01
LOOKS = 10
# from one batch to the next the spread varies by some percent
OPENING = 1.25


class Collapse:
    """Embeddings point the same way: the mean cosine between labels is above 0.99.

    A network with random weights may begin so and open up, so it must last for ten looks in a row
    in which the spread ``1 - cosine`` does not grow by a quarter.
    """

    def __init__(self) -> None:
        self.spreads: dict[str, list[float]] = {}

    def __call__(self, look: Look) -> Finding | None:
        for name, embeddings in look.embeddings.items():
            spread = spread_of(embeddings)
            if spread is None or spread > SPREAD:
                self.spreads.pop(name, None)
                continue
            seen = self.spreads.setdefault(name, [])
            seen.append(spread)
            del seen[:-LOOKS]
            half = LOOKS // 2
            if len(seen) == LOOKS and sum(seen[half:]) <= OPENING * sum(seen[:half]):
                who = f" of {name}" if name else ""
                return Finding(
                    f"collapse: all embeddings{who} are alike",
                    f"mean cosine between two images of a batch {1.0 - spread:.5f} (1 is the same "
                    f"direction), for {LOOKS} looks without opening up",
                    "lower the learning rate or lengthen the warm-up; with a triplet loss start "
                    "from pretrained weights, or take a loss that uses all pairs "
                    "(MultiSimilarityLoss, SupConLoss) or add CELoss beside it",
                )
        return None


def spread_of(embeddings: Tensor) -> float | None:
    """Return one minus the mean cosine of two different embeddings ``[B, D]``; None if B is 1.

    Example:
        >>> import torch
        >>> spread_of(torch.eye(3)), spread_of(torch.ones(3, 2))
        (1.0, 0.0)
    """
    number = len(embeddings)
    if number < 2:
        return None
    directions = unit(embeddings.double())
    # the sum of all cosines is the squared length of the sum of the directions
    lengths = float(directions.square().sum())
    total = float(directions.sum(dim=0).square().sum())
    if not lengths:
        # all are zero
        return 0.0
    return max(0.0, round(1.0 - (total - lengths) / (number * (number - 1)), 9))
