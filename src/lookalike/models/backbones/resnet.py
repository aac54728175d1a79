"""ResNets as the reference's recognition models use them; deep stems of timm's parts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

from torch import nn

from lookalike.models.backbones.chain import chain
from lookalike.models.backbones.residual import BasicBlock, Bottleneck, residual_parts
from lookalike.models.initialise import initialise_layers
from lookalike.models.parameter_rules import multiply_stage_lr

_DEPTHS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
_DOC = """Build {title} with the reference's initial weights and batch norm.

Source: {source}

Args:
    num_classes: Width of the classifier.
    stem_act: ``None`` leaves out the ReLU behind the convolutions of the stem.
    lr_multipliers: Factors on the learning rate: of the stem, then of the four stages.
"""
_PLAIN = (
    'He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1, with the '
    "stride in\nthe 3 x 3 convolution. https://arxiv.org/abs/1512.03385"
)
_DEEP = (
    'He et al., "Bag of Tricks for Image Classification with Convolutional Neural Networks", '
    "CVPR\n2019, figure 2 (ResNet-D). https://arxiv.org/abs/1812.01187"
)


def resnet(
    depth: int,
    num_classes: int = 1000,
    *,
    deep_stem: bool = False,
    stem_act: Literal["relu"] | None = "relu",
    last_stride: int = 2,
    max_pool: bool = False,
    lr_multipliers: Sequence[float] | None = None,
) -> nn.Sequential:
    """Build a ResNet as a chain under torchvision's names.

    Args:
        depth: 18, 34, 50, 101 or 152.
        num_classes: Width of the classifier.
        deep_stem: Three 3 x 3 convolutions in the stem and pooling in the shortcuts (``_vd``).
        stem_act: ``None`` leaves out the ReLU behind the convolutions of the stem.
        last_stride: Step of the last stage; 1 doubles the map's edges.
        max_pool: Pool with the maximum instead of the mean.
        lr_multipliers: Factors on the learning rate: of the stem, then of the four stages.
    """
    parts = _library_parts(depth, num_classes, deep_stem)
    stages = [parts[f"layer{number}"] for number in (1, 2, 3, 4)]
    if depth < 50:
        # the reference has a convolution in the first shortcut too, where none is needed
        conv = nn.Conv2d(64, 64, 1, bias=False)
        pool = [nn.Identity()] if deep_stem else []
        stages[0].get_submodule("0").downsample = nn.Sequential(*pool, conv, nn.BatchNorm2d(64))
    _set_stride(stages[3].get_submodule("0"), last_stride)
    if stem_act is None:
        parts["relu"] = nn.Identity()
        for name, layer in parts["conv1"].named_children():
            if isinstance(layer, nn.ReLU):
                setattr(parts["conv1"], name, nn.Identity())
    pooling = nn.AdaptiveMaxPool2d(1) if max_pool else nn.AdaptiveAvgPool2d(1)
    names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
    model = chain(
        **{name: parts[name] for name in names},
        avgpool=pooling,
        flatten=nn.Flatten(),
        fc=parts["fc"],
    )
    initialise_layers(model, linear=_uniform)
    multiply_stage_lr([(parts["conv1"], parts["bn1"]), *((s,) for s in stages)], lr_multipliers)
    return model


def _library_parts(depth: int, num_classes: int, deep_stem: bool) -> dict[str, nn.Module]:
    if deep_stem:
        from timm.models import resnet as timm_resnet

        block: Any = timm_resnet.BasicBlock if depth < 50 else timm_resnet.Bottleneck
        model: nn.Module = timm_resnet.ResNet(
            block, _DEPTHS[depth], num_classes, stem_width=32, stem_type="deep", avg_down=True
        )
        return {{"act1": "relu"}.get(name, name): part for name, part in model.named_children()}
    return residual_parts(BasicBlock if depth < 50 else Bottleneck, _DEPTHS[depth], num_classes)


def _set_stride(block: nn.Module, stride: int) -> None:
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2):
            layer.stride = (stride, stride)


def _uniform(layer: nn.Linear) -> None:
    bound = 1.0 / math.sqrt(layer.in_features)
    nn.init.uniform_(layer.weight, -bound, bound)
    nn.init.zeros_(layer.bias)


def _entry(
    depth: int,
    *,
    deep_stem: bool = False,
    last_stride: int = 2,
    max_pool: bool = False,
    but: str = "",
) -> Callable[..., nn.Sequential]:
    """Return the constructor that the catalog offers under one of the reference's names."""

    def build(
        num_classes: int = 1000,
        *,
        stem_act: Literal["relu"] | None = "relu",
        lr_multipliers: Sequence[float] | None = None,
    ) -> nn.Sequential:
        return resnet(
            depth,
            num_classes,
            deep_stem=deep_stem,
            stem_act=stem_act,
            last_stride=last_stride,
            max_pool=max_pool,
            lr_multipliers=lr_multipliers,
        )

    title = f"ResNet-{depth}{'-D' if deep_stem else ''}{but}"
    build.__doc__ = _DOC.format(title=title, source=_DEEP if deep_stem else _PLAIN)
    return build


resnet18, resnet34, resnet50, resnet101, resnet152 = map(_entry, _DEPTHS)
resnet18_vd = _entry(18, deep_stem=True)
resnet34_vd = _entry(34, deep_stem=True)
resnet50_vd = _entry(50, deep_stem=True)
resnet101_vd = _entry(101, deep_stem=True)
resnet152_vd = _entry(152, deep_stem=True)
resnet50_stride1 = _entry(50, last_stride=1, but=", the last stage with stride 1,")
resnet50_max_pool = _entry(50, max_pool=True, but=", pooled with the maximum,")
