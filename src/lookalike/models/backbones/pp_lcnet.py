"""PP-LCNet in all its widths, of timm's blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from timm.layers.helpers import make_divisible
from timm.layers.norm_act import BatchNormAct2d
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, SqueezeExcite
from torch import nn

from lookalike.models.backbones.chain import chain
from lookalike.models.downscale_dropout import DownscaleDropout
from lookalike.models.initialise import initialise_layers, kaiming_normal
from lookalike.models.parameter_rules import multiply_stage_lr, no_decay_in_batch_norms

# by stage: kernel size, output channels at width 1, blocks; stage 3 and 4 are one to the reference
_STAGES = (
    ((3, 32, 1),),
    ((3, 64, 2),),
    ((3, 128, 2),),
    ((3, 256, 1), (5, 256, 1)),
    ((5, 256, 4),),
    ((5, 512, 2),),
)
_WITH_ATTENTION = 5
_SCALES = (0.25, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5)
_DOC = """Build PP-LCNet at {scale} times its width{but}.

Source: Cui et al., "PP-LCNet: A Lightweight CPU Convolutional Neural Network", 2021, table 1.
https://arxiv.org/abs/2109.15099

Args:
    num_classes: Width of the classifier.
    dropout: Share of the features dropped before the classifier. They are not enlarged in
        training but shrunk in evaluation.
    num_features: Width of the convolution behind the pooling.
    head_conv: Have that convolution.
    strides: Steps of the stem and of the first blocks of ``blocks3`` to ``blocks6``.
    lr_multipliers: Factors on the learning rate: of the stem, then of ``blocks2`` to ``blocks6``.
"""


def pp_lcnet(
    scale: float,
    num_classes: int = 1000,
    *,
    dropout: float = 0.2,
    num_features: int = 1280,
    head_conv: bool = True,
    strides: Sequence[int] = (2, 2, 2, 2, 2),
    lr_multipliers: Sequence[float] | None = None,
    tanh: bool = False,
) -> nn.Sequential:
    """Build PP-LCNet as a chain under timm's names.

    Args:
        scale: Factor on all widths.
        num_classes: Width of the classifier.
        dropout: Share of the features dropped before the classifier.
        num_features: Width of the convolution behind the pooling.
        head_conv: Have that convolution.
        strides: Steps of the stem and of the four stages that may shrink the map.
        lr_multipliers: Factors on the learning rate, of the stem and the five stages.
        tanh: Squash what the classifier returns.
    """
    if len(strides) != 5:
        raise ValueError(f"strides: 5 numbers expected, got {len(strides)}")
    width = _rounded(16 * scale)
    stem = nn.Conv2d(3, width, 3, strides[0], padding=1, bias=False)
    norm = BatchNormAct2d(width, act_layer=nn.Hardswish)
    blocks, width = _blocks(width, scale, (1, *strides[1:4], 1, strides[4]))
    tail: dict[str, nn.Module] = {}
    if head_conv:
        tail["conv_head"] = nn.Conv2d(width, num_features, 1, bias=False)
        tail["act2"] = nn.Hardswish()
        tail["dropout"] = DownscaleDropout(dropout)
        width = num_features
    tail["flatten"] = nn.Flatten()
    tail["classifier"] = nn.Linear(width, num_classes)
    if tanh:
        tail["tanh"] = nn.Tanh()
    model = chain(
        conv_stem=stem, bn1=norm, blocks=blocks, global_pool=nn.AdaptiveAvgPool2d(1), **tail
    )
    initialise_layers(model, conv=kaiming_normal)
    no_decay_in_batch_norms(model)
    stages = [(stem, norm), *((blocks[i],) for i in (0, 1, 2)), (blocks[3], blocks[4])]
    multiply_stage_lr([*stages, (blocks[5],)], lr_multipliers)
    return model


def _blocks(width: int, scale: float, strides: Sequence[int]) -> tuple[nn.Sequential, int]:

    attention: Any = partial(SqueezeExcite, force_act_layer=nn.ReLU, gate_layer=nn.Hardsigmoid)
    stages = []
    for number, parts in enumerate(_STAGES):
        blocks: list[nn.Module] = []
        for kernel, channels, repeats in parts:
            for _ in range(repeats):
                block = DepthwiseSeparableConv(
                    width,
                    _rounded(channels * scale),
                    dw_kernel_size=kernel,
                    stride=1 if blocks else strides[number],
                    noskip=True,
                    pw_act=True,
                    act_layer=nn.Hardswish,
                    se_layer=attention if number == _WITH_ATTENTION else None,
                )
                blocks.append(block)
                width = _rounded(channels * scale)
        stages.append(nn.Sequential(*blocks))
    return nn.Sequential(*stages), width


def _rounded(channels: float) -> int:
    """Round to a multiple of 8, never more than a tenth below."""
    return int(make_divisible(channels, 8))  # type: ignore[no-untyped-call]


def _entry(scale: float, *, tanh: bool = False) -> Callable[..., nn.Sequential]:
    """Return the constructor that the catalog offers under one of the reference's names."""

    def build(
        num_classes: int = 1000,
        *,
        dropout: float = 0.2,
        num_features: int = 1280,
        head_conv: bool = True,
        strides: Sequence[int] = (2, 2, 2, 2, 2),
        lr_multipliers: Sequence[float] | None = None,
    ) -> nn.Sequential:
        return pp_lcnet(
            scale,
            num_classes,
            dropout=dropout,
            num_features=num_features,
            head_conv=head_conv,
            strides=strides,
            lr_multipliers=lr_multipliers,
            tanh=tanh,
        )

    build.__doc__ = _DOC.format(scale=scale, but=" with a tanh behind the classifier" * tanh)
    return build


pp_lcnet_x0_25, pp_lcnet_x0_35, pp_lcnet_x0_5, pp_lcnet_x0_75 = map(_entry, _SCALES[:4])
pp_lcnet_x1_0, pp_lcnet_x1_5, pp_lcnet_x2_0, pp_lcnet_x2_5 = map(_entry, _SCALES[4:])
pp_lcnet_x2_5_tanh = _entry(2.5, tanh=True)
