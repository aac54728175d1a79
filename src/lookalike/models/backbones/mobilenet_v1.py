"""MobileNet, of timm's blocks."""

from __future__ import annotations

from timm.layers.norm_act import BatchNormAct2d
from timm.models._efficientnet_blocks import DepthwiseSeparableConv
from torch import nn

from lookalike.models.backbones.chain import chain
from lookalike.models.initialise import initialise_layers, kaiming_normal

# output channels and stride
_BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)


def mobilenet_v1(num_classes: int = 1000) -> nn.Sequential:
    """Build MobileNet with plain ReLUs.

    Source: Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
    Applications", 2017, table 1. https://arxiv.org/abs/1704.04861

    Args:
        num_classes: Width of the classifier.
    """
    width = 32
    blocks = []
    for channels, stride in _BLOCKS:
        blocks.append(
            DepthwiseSeparableConv(width, channels, stride=stride, noskip=True, pw_act=True)
        )
        width = channels
    model = chain(
        conv_stem=nn.Conv2d(3, 32, 3, 2, padding=1, bias=False),
        bn1=BatchNormAct2d(32),
        blocks=nn.Sequential(*blocks),
        global_pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        classifier=nn.Linear(width, num_classes),
    )
    initialise_layers(model, conv=kaiming_normal, linear=kaiming_normal)
    return model
