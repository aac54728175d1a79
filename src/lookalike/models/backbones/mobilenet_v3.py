"""MobileNetV3 as the reference has it, of timm's blocks."""

from __future__ import annotations

from functools import partial
from typing import Any

from timm.layers.norm_act import BatchNormAct2d
from timm.models._efficientnet_blocks import ConvBnAct, InvertedResidual, SqueezeExcite
from torch import Tensor, nn

from lookalike.models.backbones.chain import chain
from lookalike.models.downscale_dropout import DownscaleDropout
from lookalike.models.initialise import initialise_layers
from lookalike.models.parameter_rules import no_decay_in_batch_norms

# kernel size, expanded channels, output channels, attention, hard swish, stride
_BLOCKS = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)


class SteepHardSigmoid(nn.Module):
    """``clip(0.2 x + 0.5, 0, 1)``; PyTorch's hard sigmoid has the slope 1 / 6."""

    def forward(self, features: Tensor) -> Tensor:
        return (0.2 * features + 0.5).clamp(0.0, 1.0)


def mobilenet_v3_large(
    num_classes: int = 1000, *, dropout: float = 0.2, num_features: int = 1280
) -> nn.Sequential:
    """Build MobileNetV3-Large.

    Against timm's and torchvision's: attention of exactly a quarter of the channels and with a
    steeper hard sigmoid, an expansion in the first block too, no offset in the convolution
    behind the pooling. Their weights do not fit.

    Source: Howard et al., "Searching for MobileNetV3", ICCV 2019, table 1.
    https://arxiv.org/abs/1905.02244

    Args:
        num_classes: Width of the classifier.
        dropout: Share of the features dropped before the classifier. They are not enlarged in
            training but shrunk in evaluation.
        num_features: Width of the convolution behind the pooling.
    """
    attention: Any = partial(SqueezeExcite, force_act_layer=nn.ReLU, gate_layer=SteepHardSigmoid)
    width = 16
    blocks = []
    for kernel, expanded, channels, with_attention, swish, stride in _BLOCKS:
        block = InvertedResidual(
            width,
            channels,
            dw_kernel_size=kernel,
            stride=stride,
            exp_ratio=expanded / width,
            act_layer=nn.Hardswish if swish else nn.ReLU,
            se_layer=attention if with_attention else None,
        )
        assert block.conv_pw.out_channels == expanded
        blocks.append(block)
        width = channels
    model = chain(
        conv_stem=nn.Conv2d(3, 16, 3, 2, padding=1, bias=False),
        bn1=BatchNormAct2d(16, act_layer=nn.Hardswish),
        blocks=nn.Sequential(*blocks),
        conv_last=ConvBnAct(width, 960, 1, act_layer=nn.Hardswish),
        global_pool=nn.AdaptiveAvgPool2d(1),
        conv_head=nn.Conv2d(960, num_features, 1, bias=False),
        act2=nn.Hardswish(),
        dropout=DownscaleDropout(dropout),
        flatten=nn.Flatten(),
        classifier=nn.Linear(num_features, num_classes),
    )
    initialise_layers(model)
    no_decay_in_batch_norms(model)
    return model
