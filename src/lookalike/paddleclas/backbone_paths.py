"""Where a module of the reference's backbones is in ours, which have the libraries' names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate

Rules = Sequence[tuple[str, str]]

# pattern to replacement, applied in order to dotted paths of modules that own weights or are
# steps of the model
_TAIL: Rules = (
    (r"avg_pool", "global_pool"),
    (r"last_conv", "conv_head"),
    (r"act|hardswish", "act2"),
    (r"fc\.origin_layer", "classifier"),
    (r"fc\.tanh", "tanh"),
    (r"fc", "classifier"),
)
_DEPTH_WISE: Rules = (
    (r"(.*)\.d\w*_conv\.conv", r"\1.conv_dw"),
    (r"(.*)\.d\w*_conv\.bn", r"\1.bn1"),
    (r"(.*)\.p\w*_conv\.conv", r"\1.conv_pw"),
    (r"(.*)\.p\w*_conv\.bn", r"\1.bn2"),
)
_ATTENTION: Rules = (
    (r"(.*)\.(?:mid_)?se\.conv1", r"\1.se.conv_reduce"),
    (r"(.*)\.(?:mid_)?se\.relu", r"\1.se.act1"),
    (r"(.*)\.(?:mid_)?se\.conv2", r"\1.se.conv_expand"),
    (r"(.*)\.(?:mid_)?se\.hardsigmoid", r"\1.se.gate"),
    (r"(.*)\.mid_se", r"\1.se"),
)
_VGG_FIRST, _VGG_POOL = (0, 5, 10, 19, 28), (4, 9, 18, 27, 36)
_RULES: dict[str, Rules] = {
    "PPLCNet_x": (
        (r"conv1\.conv", "conv_stem"),
        (r"conv1\.bn", "bn1"),
        *((rf"blocks{n + 2}(|\..*)", rf"blocks.{n}\1") for n in (0, 1, 2)),
        *((rf"blocks5\.{n}(|\..*)", rf"blocks.3.{n}\1") for n in (0, 1)),
        *((rf"blocks5\.{n + 2}(|\..*)", rf"blocks.4.{n}\1") for n in (0, 1, 2, 3)),
        (r"blocks5", "blocks.4"),
        (r"blocks6(|\..*)", r"blocks.5\1"),
        *_DEPTH_WISE,
        *_ATTENTION,
        *_TAIL,
    ),
    "PPLCNetV2": (
        *((rf"stage{n + 1}(|\..*)", rf"stages.{n}\1") for n in range(4)),
        (r"(.*)\.pw_conv_1(|\..*)", r"\1.pw_conv.0\2"),
        (r"(.*)\.pw_conv_2(|\..*)", r"\1.pw_conv.1\2"),
        (r"(stages\.\d+\.\d+)\.act", r"\1.dw_act"),
        (r"(.*)\.se\.conv([12])", r"\1.se.fc\2"),
        (r"(.*)\.se\.relu", r"\1.se.act"),
        (r"(.*)\.se\.hardsigmoid", r"\1.se.gate"),
        *_TAIL,
    ),
    "MobileNetV1": (
        (r"conv\.conv", "conv_stem"),
        (r"conv\.bn", "bn1"),
        *_DEPTH_WISE,
        *_TAIL,
    ),
    "MobileNetV3_large": (
        (r"conv\.conv", "conv_stem"),
        (r"conv\.bn", "bn1"),
        (r"(.*)\.expand_conv\.conv", r"\1.conv_pw"),
        (r"(.*)\.expand_conv\.bn", r"\1.bn1"),
        (r"(.*)\.bottleneck_conv\.conv", r"\1.conv_dw"),
        (r"(.*)\.bottleneck_conv\.bn", r"\1.bn2"),
        (r"(.*)\.linear_conv\.conv", r"\1.conv_pwl"),
        (r"(.*)\.linear_conv\.bn", r"\1.bn3"),
        (r"last_second_conv\.conv", "conv_last.conv"),
        (r"last_second_conv\.bn", "conv_last.bn1"),
        (r"last_second_conv", "conv_last"),
        *_ATTENTION,
        *_TAIL,
    ),
    "AlexNet": (
        *((rf"_conv{n}\._conv", f"features.{i}") for n, i in ((1, 0), (2, 3), (5, 10))),
        *((rf"_conv{n}\.relu", f"features.{i}") for n, i in ((1, 1), (2, 4), (5, 11))),
        *(
            (rf"_conv{n}(\._pool)?", f"features.{i}")
            for n, i in ((1, 2), (2, 5), (3, 6), (4, 8), (5, 12))
        ),
        *((word, f"classifier.{i}") for word, i in (("_drop1", 0), ("_drop2", 3))),
        *((word, f"classifier.{i}") for word, i in (("_fc6", 1), ("_fc7", 4), ("_fc8", 6))),
    ),
    "VGG19": (
        *(
            (rf"conv_block_{b + 1}\.conv{c + 1}", f"features.{_VGG_FIRST[b] + 2 * c}")
            for b in range(5)
            for c in range(4)
        ),
        *((rf"conv_block_{b + 1}(\.max_pool)?", f"features.{_VGG_POOL[b]}") for b in range(5)),
        (r"fc2\.origin_layer", "classifier.3"),
        (r"fc2\.sigmoid", "classifier.4"),
        *((word, f"classifier.{i}") for word, i in (("fc1", 0), ("relu", 1), ("drop", 2))),
        *((word, f"classifier.{i}") for word, i in (("fc2", 3), ("fc3", 6))),
    ),
    "CLIP_vit": ((r"ln_pre", "norm_pre"), (r"proj|head\.fc_head", "head")),
    "AdaFace_IR": (),
}
_RESNET_DEPTHS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
_RESNET = re.compile(r"ResNet(18|34|50|101|152)(_\w+)?")


def family(backbone: str) -> str:
    """Return the family a backbone of the reference belongs to; empty for others.

    Example:
        >>> family("PPLCNet_x2_5_Tanh"), family("ResNet50_vd"), family("resnet18")
        ('PPLCNet_x', 'ResNet', '')
    """
    if _RESNET.fullmatch(backbone):
        return "ResNet"
    return next((name for name in _RULES if backbone.startswith(name)), "")


def module_path(backbone: str, path: str) -> str:
    """Translate a module's dotted path; what no rule knows stays as it is.

    Args:
        backbone: The reference's name of the backbone.
        path: Such as ``blocks.3.conv0.bn``.

    Example:
        >>> module_path("ResNet50", "blocks.3.conv0.bn"), module_path("PPLCNet_x1_0", "fc")
        ('layer2.0.bn1', 'classifier')
    """
    rules = _resnet_rules(backbone) if family(backbone) == "ResNet" else _RULES[family(backbone)]
    if family(backbone) == "ResNet":
        path = resnet_block(backbone, path)
    for pattern, replacement in rules:
        if re.fullmatch(pattern, path):
            path = re.sub(f"^(?:{pattern})$", replacement, path)
    return path


def resnet_block(backbone: str, path: str) -> str:
    """Translate the running number of a block to stage and place.

    Example:
        >>> resnet_block("ResNet50", "blocks.13.conv1"), resnet_block("ResNet18", "blocks")
        ('layer4.0.conv1', 'layer4')
    """
    if path == "blocks":
        return "layer4"
    match = re.fullmatch(r"blocks\.(\d+)(|\..*)", path)
    name = _RESNET.fullmatch(backbone)
    if match is None or name is None:
        return path
    index, depths = int(match[1]), _RESNET_DEPTHS[int(name[1])]
    ends = list(accumulate(depths))
    stage = next((number for number, end in enumerate(ends) if index < end), None)
    if stage is None:
        return path
    return f"layer{stage + 1}.{index - ends[stage] + depths[stage]}{match[2]}"


def _resnet_rules(backbone: str) -> Rules:
    stem: Rules = ((r"stem\.0\.conv", "conv1"), (r"stem\.0\.bn(|\..*)", r"bn1\1"))
    first = 0
    if backbone.endswith("_vd"):
        stem = (
            *((rf"stem\.{n}\.conv", f"conv1.{3 * n}") for n in range(3)),
            *((rf"stem\.{n}\.bn", f"conv1.{3 * n + 1}") for n in range(2)),
            (r"stem\.2\.bn", "bn1"),
        )
        first = 1
    return (
        *stem,
        *((rf"(layer.*)\.conv{n}\.conv", rf"\1.conv{n + 1}") for n in range(3)),
        *((rf"(layer.*)\.conv{n}\.bn(|\..*)", rf"\1.bn{n + 1}\2") for n in range(3)),
        (r"(layer.*)\.short\.conv", rf"\1.downsample.{first}"),
        (r"(layer.*)\.short\.bn(|\..*)", rf"\1.downsample.{first + 1}\2"),
        (r"(layer.*)\.short", r"\1.downsample"),
        (r"(.*)\.gate\.gate", r"\1.gate"),
        (r"max_pool", "maxpool"),
        (r"avg_pool", "avgpool"),
    )
