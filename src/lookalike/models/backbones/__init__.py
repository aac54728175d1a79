"""Where images become features: torchvision's and timm's models, and the reference's own."""

from lookalike.models.backbones.library import known_names, library_backbone
from lookalike.models.backbones.resnet import resnet50

__all__ = ["known_names", "library_backbone", "resnet50"]
