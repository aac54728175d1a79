"""Parallel branches of a network that trained with them, made one layer for inference."""

from __future__ import annotations

import sys
from copy import deepcopy

from torch import nn


def fuse_branches(model: nn.Module) -> nn.Module:
    """Return a copy for inference in which parallel depth-wise convolutions are one.

    Convolutions and batch norms are linear in evaluation, so the outputs are the same up to
    rounding. Models without such branches are copied as they are.

    Args:
        model: A backbone, or any model that contains one.

    Example:
        >>> from lookalike.models.backbones.pp_lcnet_v2 import pp_lcnet_v2_base
        >>> model = fuse_branches(pp_lcnet_v2_base(8))
        >>> type(model.stages[3][0].dw_conv).__name__
        'Conv2d'
    """
    model = deepcopy(model).eval()
    # whoever made such a block has imported it; importing timm to find none takes seconds
    timm = sys.modules.get("timm.models.lcnetv2")
    if timm is not None:
        for block in model.modules():
            if isinstance(block, timm.RepDepthwiseSeparable):
                block.reparameterize()
    return model
