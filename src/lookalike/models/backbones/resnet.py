"""ResNet-50 as the reference's recognition models use it."""

from __future__ import annotations

import math
from typing import Literal

from torch import nn

from lookalike.models.initialise import reference_conv


def resnet50(num_classes: int = 1000, *, stem_act: Literal["relu"] | None = "relu") -> nn.Module:
    """Build torchvision's ResNet-50 (stride in the 3 x 3 convolution) with the reference's start.

    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1.
    https://arxiv.org/abs/1512.03385

    Args:
        num_classes: Width of the classifier.
        stem_act: ``None`` leaves out the ReLU behind the first convolution.
    """
    import torchvision

    model: nn.Module = torchvision.models.resnet50(weights=None, num_classes=num_classes)
    if stem_act is None:
        model.relu = nn.Identity()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            reference_conv(module)
        elif isinstance(module, nn.Linear):
            bound = 1.0 / math.sqrt(module.in_features)
            nn.init.uniform_(module.weight, -bound, bound)
            nn.init.zeros_(module.bias)
    return model
