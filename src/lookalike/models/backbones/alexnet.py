"""AlexNet: torchvision's, with the reference's dropout."""

from __future__ import annotations

import math

import torchvision
from torch import nn

from lookalike.models.backbones.chain import chain
from lookalike.models.downscale_dropout import DownscaleDropout


def alexnet(num_classes: int = 1000) -> nn.Sequential:
    """Build AlexNet as a chain under torchvision's names.

    Source: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.
    https://arxiv.org/abs/1404.5997

    Args:
        num_classes: Width of the classifier.
    """
    model = torchvision.models.alexnet(weights=None, num_classes=num_classes)
    # torchvision draws convolutions and the first linear layer as the reference does; the others
    # start there within the same bound as the first
    bound = 1.0 / math.sqrt(model.classifier[1].in_features)
    for layer in model.classifier:
        if isinstance(layer, nn.Linear):
            nn.init.uniform_(layer.weight, -bound, bound)
            nn.init.uniform_(layer.bias, -bound, bound)
    return chain(
        features=model.features,
        avgpool=model.avgpool,
        flatten=nn.Flatten(),
        classifier=with_downscale_dropout(model.classifier),
    )


def with_downscale_dropout(classifier: nn.Sequential) -> nn.Sequential:
    """Replace dropouts that enlarge in training by those that shrink in evaluation."""
    return nn.Sequential(
        *(
            DownscaleDropout(layer.p) if isinstance(layer, nn.Dropout) else layer
            for layer in classifier
        )
    )
