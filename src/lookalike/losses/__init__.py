"""What training minimises. A loss reads the model's output and the labels, and returns a scalar."""

from lookalike.losses.cross_entropy import CrossEntropy
from lookalike.losses.sup_con import SupCon
from lookalike.losses.weighted_sum import WeightedSum

__all__ = ["CrossEntropy", "SupCon", "WeightedSum"]
