"""Layer names of PaddleClas, old and new style, to places in PyTorch models."""

from __future__ import annotations

import re

from lookalike.paddleclas.backbone_paths import family, module_path, resnet_block

# ``full_name()`` of Paddle up to release 2.2: class in snake case and a running number
_FULL_NAME = re.compile(r"([a-z0-9_]+?)_(\d+)")

_CLASSES = {
    "adaptive_avg_pool2d": "AdaptiveAvgPool2d",
    "adaptive_max_pool2d": "AdaptiveMaxPool2d",
    "avg_pool2d": "AvgPool2d",
    "max_pool2d": "MaxPool2d",
    "flatten": "Flatten",
    "linear": "Linear",
    "conv2d": "Conv2d",
    "batch_norm2d": "BatchNorm2d",
    "batch_norm": "BatchNorm2d",
    "re_lu": "ReLU",
    "dropout": "Dropout",
}

# attribute names of the reference's models, and what the same place is called in torchvision
# and timm; the first that exists is taken
_PLACES = {
    "avg_pool": ("avgpool", "global_pool.pool", "global_pool", "head.global_pool"),
    "flatten": (
        "flatten",
        "global_pool.flatten",
        "head.flatten",
        "global_pool",
        "head.global_pool",
    ),
    "max_pool": ("maxpool",),
    "fc": ("fc", "classifier", "head.fc", "head"),
}

# by family: old full names, counted as the first model of a process, to attribute names
_NUMBERED = {
    "ResNet": {
        "adaptive_avg_pool2d_0": "avg_pool",
        "adaptive_max_pool2d_0": "avg_pool",
        "max_pool2d_0": "max_pool",
        "linear_0": "fc",
    },
    "PPLCNet_x": {"adaptive_avg_pool2d_2": "avg_pool", "linear_0": "fc"},
    "PPLCNetV2": {"adaptive_avg_pool2d_6": "avg_pool", "linear_0": "fc"},
    "MobileNetV1": {"adaptive_avg_pool2d_0": "avg_pool", "linear_0": "fc"},
    "MobileNetV3_large": {"adaptive_avg_pool2d_8": "avg_pool", "linear_0": "fc"},
    "AlexNet": {"linear_0": "_fc6", "linear_1": "_fc7", "linear_2": "_fc8"},
    "VGG19": {"linear_0": "fc1", "linear_1": "fc2", "linear_2": "fc3"},
}
# families where convolutions and norms are made in the reference's order
_COUNTED_ALIKE = {"ResNet", "PPLCNet_x", "MobileNetV1", "MobileNetV3_large", "AlexNet", "VGG19"}
# families whose norms (timm's) contain the activation
_NORM_WITH_ACT = {"PPLCNet_x", "PPLCNetV2", "MobileNetV1", "MobileNetV3_large"}
# layers that end with another module than the one with their weights
_SUFFIXED = {("PPLCNet_x2_5_Tanh", "fc"): "tanh", ("VGG19Sigmoid", "fc2"): "classifier.4"}


def stop_layer_candidates(
    name: str, backbone: str = ""
) -> tuple[list[str], tuple[str, int] | None]:
    """Return the module names to try for a stop layer, and (class name, n) of an old full name.

    Args:
        name: As the YAML has it.
        backbone: The backbone's name; that of a backbone of the reference makes its own layer
            names known.

    Example:
        >>> stop_layer_candidates("adaptive_avg_pool2d_0")[1]
        ('AdaptiveAvgPool2d', 0)
        >>> stop_layer_candidates("blocks[13].conv1")[0]
        ['blocks.13.conv1']
        >>> stop_layer_candidates("blocks[13].conv1", "ResNet50")[0]
        ['layer4.0.relu_1', 'blocks.13.conv1']
    """
    path = re.sub(r"\[(\d+)\]", r".\1", name)
    match = _FULL_NAME.fullmatch(name)
    numbered = None
    if match and match[1] in _CLASSES:
        numbered = (_CLASSES[match[1]], int(match[2]))
    if group := family(backbone):
        old = _NUMBERED.get(group, {}).get(name)
        if match and match[1] == "flatten":
            old = "flatten"  # the n-th model of a process has the n-th one
        counted = numbered if old is None and _may_count(group, numbered) else None
        places = _places(old or path, backbone)
        if not (group in _NORM_WITH_ACT and path.endswith(".bn")):
            places.append(path)
        return list(dict.fromkeys(places)), counted
    candidates = [path, *_PLACES.get(path, ())]
    if numbered == ("Flatten", 0):
        candidates += _PLACES["flatten"]
    if numbered == ("AdaptiveAvgPool2d", 0):
        candidates += _PLACES["avg_pool"]
    return candidates, numbered


def stays_whole(name: str, backbone: str) -> str:
    """Return why a stop layer does not cut a backbone; empty if it does.

    Example:
        >>> stays_whole("flatten", "CLIP_vit_base_patch16_224")
        "CLIP_vit_base_patch16_224 has no layer 'flatten'; its output is flat already and is used \
as it is."
    """
    if family(backbone) == "CLIP_vit" and name in ("flatten", "flatten_0"):
        return f"{backbone} has no layer '{name}'; its output is flat already and is used as it is."
    return ""


def _may_count(group: str, numbered: tuple[str, int] | None) -> bool:
    """Tell whether the n-th layer of a class is the same one here and there."""
    if numbered is None or group not in _COUNTED_ALIKE:
        return False
    return numbered[0] == "Conv2d" or (group == "ResNet" and numbered[0] == "BatchNorm2d")


def _places(path: str, backbone: str) -> list[str]:
    """Return where a module of the reference ends in ours, best first."""
    group = family(backbone)
    if (backbone, path) in _SUFFIXED:
        return [_SUFFIXED[backbone, path]]
    if group == "ResNet":
        return [_resnet_place(path, backbone)]
    if group not in _NORM_WITH_ACT:
        return [module_path(backbone, path)]
    if path.endswith(".bn"):
        # the norm before its activation
        return [f"{module_path(backbone, path)}.drop"]
    around = path.removesuffix(".act") if path.count(".") else path
    norm = module_path(backbone, f"{around}.bn")
    return [module_path(backbone, path), norm]


def _resnet_place(path: str, backbone: str) -> str:
    """Return the step that ends a convolution with its norm and activation."""
    deep, basic = backbone.endswith("_vd"), re.match(r"ResNet(18|34)(?!\d)", backbone) is not None
    if match := re.fullmatch(r"stem(?:\.(\d))?(\.relu)?", path):
        inner = deep and match[1] in ("0", "1")
        return f"conv1.{3 * int(match[1]) + 2}" if inner else "relu"
    block = resnet_block(backbone, path) if path.startswith("blocks") else ""
    if match := re.fullmatch(r"(.*)\.conv(\d)(\.relu)?", block):
        number = int(match[2])
        if number == (1 if basic else 2):
            return f"{match[1]}.bn{number + 1}"
        if deep:
            return f"{match[1]}.act{number + 1}"
        return f"{match[1]}.relu" + (f"_{number}" if number else "")
    if match := re.fullmatch(r"(.*)\.relu", block):
        return match[1]
    return module_path(backbone, path)
