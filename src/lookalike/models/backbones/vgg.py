"""VGG-19: torchvision's without offsets in the convolutions, with the reference's dropout."""

from __future__ import annotations

import torchvision
from torch import nn

from lookalike.models.backbones.alexnet import with_downscale_dropout
from lookalike.models.backbones.chain import chain
from lookalike.models.initialise import initialise_layers

_BEHIND_FC2 = 4


def vgg19(num_classes: int = 1000) -> nn.Sequential:
    """Build VGG-19, its convolutions without offsets, as a chain under torchvision's names.

    Source: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
    Recognition", ICLR 2015, configuration E. https://arxiv.org/abs/1409.1556

    Args:
        num_classes: Width of the classifier.
    """
    model = torchvision.models.vgg19(weights=None, num_classes=num_classes, init_weights=False)
    for layer in model.features:
        if isinstance(layer, nn.Conv2d):
            layer.bias = None
    result = chain(
        features=model.features,
        avgpool=model.avgpool,
        flatten=nn.Flatten(),
        classifier=with_downscale_dropout(model.classifier),
    )
    initialise_layers(result)
    return result


def vgg19_sigmoid(num_classes: int = 1000) -> nn.Sequential:
    """Build VGG-19 with a sigmoid behind the second linear layer.

    The last layer's output, which is the code, is therefore not squashed.

    Source: the reference; the sigmoid takes the place of the ReLU, which would change nothing
    behind it.

    Args:
        num_classes: Width of the classifier, the length of the code.
    """
    model = vgg19(num_classes)
    classifier = model.get_submodule("classifier")
    assert isinstance(classifier, nn.Sequential)
    classifier[_BEHIND_FC2] = nn.Sigmoid()
    return model
