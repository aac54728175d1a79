"""Classifiers over the training identities; taken off after training."""

from lookalike.models.heads.arc_margin import ArcMargin
from lookalike.models.heads.linear_head import LinearHead

__all__ = ["ArcMargin", "LinearHead"]
