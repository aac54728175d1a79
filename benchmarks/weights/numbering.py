"""Whether an exported model numbers its layers in the order in which ours stand.

An exported model has no places, only names such as ``conv2d_3.w_0``: kind, running number, role.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from lookalike.models.fuse_branches import fuse_branches
from lookalike.paddleclas.tensor_files import read_exported

_NAME = re.compile(r"(\w+?)_(\d+)\.(\w_\d+)")
# the reference's word for a kind of layer to ours, and the order of its tensors
_NORM = {"w_0": "weight", "b_0": "bias", "w_1": "running_mean", "w_2": "running_var"}
# without scale and offset the statistics come first
_BARE_NORM = {"w_0": "running_mean", "w_1": "running_var"}
_LAYER = {"w_0": "weight", "b_0": "bias"}
_KINDS: dict[str, tuple[type[nn.Module], dict[str, str]]] = {
    "conv2d": (nn.Conv2d, _LAYER),
    "linear": (nn.Linear, _LAYER),
    "layer_norm": (nn.LayerNorm, _LAYER),
    "batch_norm": (nn.BatchNorm2d, _NORM),
    "batch_norm2d": (nn.BatchNorm2d, _NORM),
    "batch_norm1d": (nn.BatchNorm1d, _NORM),
    "meta_bn": (nn.BatchNorm2d, _NORM),
    "instance_norm2d": (nn.InstanceNorm2d, _LAYER),
    "p_re_lu": (nn.PReLU, _LAYER),
}


def orders(module: nn.Module, exported: Path) -> dict[str, str]:
    """Return for each kind of layer how the numbers of an export fit our order.

    Tensors are compared by value, so a permutation among equal shapes is seen.

    Args:
        module: Ours, with the same weights; parallel branches are merged as an export does.
        exported: ``inference.pdiparams``.
    """
    layers: dict[str, dict[int, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
    others: dict[str, int] = defaultdict(int)
    for name, array in read_exported(exported).items():
        match = _NAME.fullmatch(name)
        if match is None or match[1] not in _KINDS:
            others[match[1] if match else "named by hand"] += 1
        else:
            layers[match[1]][int(match[2])][match[3]] = array
    ours = fuse_branches(module)
    verdicts = {kind: f"{count} tensors, no layer of ours" for kind, count in others.items()}
    for kind, numbered in layers.items():
        verdicts[kind] = _verdict(ours, kind, [numbered[number] for number in sorted(numbered)])
    return verdicts


def _verdict(module: nn.Module, kind: str, theirs: list[dict[str, Any]]) -> str:
    layer_type, roles = _KINDS[kind]
    ours = [layer for layer in module.modules() if isinstance(layer, layer_type)]
    if len(ours) != len(theirs):
        return f"no: {len(theirs)} there, {len(ours)} here"
    wrong = [
        number
        for number, (layer, tensors) in enumerate(zip(ours, theirs, strict=True))
        if not _fits(layer, tensors, roles)
    ]
    return f"no: {len(wrong)} of {len(ours)} elsewhere, first {wrong[0]}" if wrong else "same"


def _fits(layer: nn.Module, tensors: dict[str, Any], roles: dict[str, str]) -> bool:
    if roles is _NORM and "b_0" not in tensors:
        roles = _BARE_NORM
    return all(_same(getattr(layer, roles[role]), array) for role, array in tensors.items())


def _same(tensor: Any, array: Any) -> bool:
    if tensor is None:
        return False
    mine = tensor.detach().numpy()
    mine = mine.T if mine.ndim == 2 else mine
    # merged branches are rounded differently
    return mine.shape == array.shape and bool(np.allclose(mine, array, rtol=1e-4, atol=1e-5))
