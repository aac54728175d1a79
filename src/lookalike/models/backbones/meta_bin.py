"""ResNet-50 whose every batch norm is mixed with an instance norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lookalike.models.backbones.resnet import resnet
from lookalike.models.parameter_rules import change_rule
from lookalike.models.reference_batch_norm import reference_batch_norm


class MetaBatchInstanceNorm(nn.Module):
    """Mix batch norm and instance norm by a gate of one number per channel.

    ``gate * BN(x) + (1 - gate) * IN(x)``. In training ``mode`` says what the batch norm does:
    ``general`` normalises with the batch and updates the running statistics; ``hold`` normalises
    with the batch and leaves them; ``eval`` normalises with them.

    Source: Choi et al., "Meta Batch-Instance Normalization for Generalizable Person
    Re-Identification", CVPR 2021, equation 2. https://arxiv.org/abs/2011.14670

    Args:
        num_features: Channels.

    Shape:
        - features: ``[B, C, H, W]``.
        - output: ``[B, C, H, W]``.
    """

    keep_whole = True  # a traced copy could not change its mode

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.batch_norm = nn.BatchNorm2d(num_features)
        self.instance_norm = nn.InstanceNorm2d(num_features, affine=True)
        self.gate = nn.Parameter(torch.ones(num_features))
        self.mode: Literal["general", "hold", "eval"] = "general"

    def forward(self, features: Tensor) -> Tensor:
        gate = self.gate[:, None, None]
        normalised: Tensor = self.instance_norm(features)
        return gate * self._batch_norm(features) + (1 - gate) * normalised

    def _batch_norm(self, features: Tensor) -> Tensor:
        norm = self.batch_norm
        if not self.training or self.mode == "general":
            return norm(features)  # type: ignore[no-any-return]
        if self.mode == "hold":
            return F.batch_norm(
                features, None, None, norm.weight, norm.bias, training=True, eps=norm.eps
            )
        return F.batch_norm(
            features, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
        )


def resnet50_metabin(
    num_classes: int = 1000,
    *,
    stem_act: Literal["relu"] | None = "relu",
    lr_multipliers: Sequence[float] | None = None,
    bias_lr_factor: float = 1.0,
    gate_lr_factor: float = 1.0,
) -> nn.Sequential:
    """Build ResNet-50, the last stage with stride 1, whose norms mix batch and instance norm.

    Source: Choi et al., "Meta Batch-Instance Normalization for Generalizable Person
    Re-Identification", CVPR 2021. https://arxiv.org/abs/2011.14670

    Args:
        num_classes: Width of the classifier.
        stem_act: ``None`` leaves out the ReLU behind the convolution of the stem.
        lr_multipliers: Factors on the learning rate: of the stem, then of the four stages. They
            do not reach the norms.
        bias_lr_factor: Factor on the learning rate of every offset.
        gate_lr_factor: Factor on the learning rate of the gates.
    """
    model = resnet(50, num_classes, stem_act=stem_act, last_stride=1, lr_multipliers=lr_multipliers)
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.BatchNorm2d):
            parent, _, child = name.rpartition(".")
            mixed = MetaBatchInstanceNorm(layer.num_features)
            setattr(model.get_submodule(parent), child, mixed)
    for layer in model.modules():
        for name, _ in layer.named_parameters(recurse=False):
            if name == "bias":
                change_rule(layer, name, lr_multiplier=bias_lr_factor)
            elif name == "gate":
                change_rule(layer, name, lr_multiplier=gate_lr_factor)
    reference_batch_norm(model)
    return model
