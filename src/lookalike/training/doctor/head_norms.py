"""Weights of the head that grow without bound."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lookalike.training.doctor.look import Finding, Look

LARGEST = 100.0
GROWTH = 1.5
LOOKS = 3
# so many classes are looked at: a head of a million is not read at every line of the log
CLASSES = 4096


class HeadNorms:
    """A class's weight vector longer than 100, growing, for three looks in a row.

    Heads that learn well have lengths of about 0.1 to 10. Without normalisation logits of some
    hundreds follow, and float16 ends at 65,504; with it the longer a vector, the less a step turns
    it: at 100 it is all but frozen.

    Args:
        heads: By the name of their model.
    """

    def __init__(self, heads: dict[str, nn.Module]) -> None:
        self.heads = heads
        self.first: dict[str, float] = {}
        self.times: dict[str, int] = {}

    def __call__(self, look: Look) -> Finding | None:
        for name, head in self.heads.items():
            norm = largest_norm(head)
            if norm is None:
                continue
            first = self.first.setdefault(name, norm)
            high = norm > LARGEST and norm > GROWTH * first
            self.times[name] = self.times.get(name, 0) + 1 if high else 0
            if self.times[name] >= LOOKS:
                who = f" of {name}" if name else ""
                return Finding(
                    f"the weights of the head{who} explode",
                    f"the longest class vector is {norm:.3g}, {first:.3g} at the first look",
                    "lower the learning rate, check that weight decay (regularizer) is on, add "
                    "clip_global_norm; or take a head that normalises (ArcMargin, CosMargin)",
                )
        return None


@torch.no_grad()
def largest_norm(head: nn.Module) -> float | None:
    """Return the length of the longest class vector of a head, of the first 4,096."""
    num_classes = getattr(head, "num_classes", None)
    norms = []
    for weight in head.parameters():
        if weight.ndim == 2 and num_classes:
            rows: Tensor = weight if weight.shape[0] % num_classes == 0 else weight.T
            norms.append(torch.linalg.vector_norm(rows[:CLASSES].float(), dim=1).max())
    return float(torch.stack(norms).max()) if norms else None
