"""Layer names of PaddleClas, old and new style, to places in PyTorch models."""

from __future__ import annotations

import re

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


def stop_layer_candidates(name: str) -> tuple[list[str], tuple[str, int] | None]:
    """Return the module names to try for a stop layer, and (class name, n) of an old full name.

    Example:
        >>> stop_layer_candidates("adaptive_avg_pool2d_0")[1]
        ('AdaptiveAvgPool2d', 0)
        >>> stop_layer_candidates("blocks[13].conv1")[0]
        ['blocks.13.conv1']
    """
    path = re.sub(r"\[(\d+)\]", r".\1", name)
    candidates = [path, *_PLACES.get(path, ())]
    match = _FULL_NAME.fullmatch(name)
    numbered = None
    if match and match[1] in _CLASSES:
        numbered = (_CLASSES[match[1]], int(match[2]))
        if numbered == ("Flatten", 0):
            candidates += _PLACES["flatten"]
        if numbered == ("AdaptiveAvgPool2d", 0):
            candidates += _PLACES["avg_pool"]
    return candidates, numbered
