"""The best evaluation so far."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class Best:
    """The best score so far and the epoch it was reached in."""

    score: float | None = None
    epoch: int = 0

    def improves(self, score: float, epoch: int) -> bool:
        """Take in a score; tell whether it is at least as good as the best so far."""
        if math.isnan(score) or (self.score is not None and score < self.score):
            return False
        self.score, self.epoch = score, epoch
        return True
