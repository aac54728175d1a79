"""Backbones, necks and heads, and the model they make together. Knows no loss and no YAML."""

from lookalike.models.embedding_model import EmbeddingModel
from lookalike.models.feature_tap import FeatureTap, cut_backbone
from lookalike.models.heads import ArcMargin, LinearHead
from lookalike.models.necks import LinearNeck, VehicleNeck

__all__ = [
    "ArcMargin",
    "EmbeddingModel",
    "FeatureTap",
    "LinearHead",
    "LinearNeck",
    "VehicleNeck",
    "cut_backbone",
]
