"""PP-LCNetV2, trained with parallel depth-wise convolutions that can be merged into one."""

from __future__ import annotations

from timm.models.lcnetv2 import LCNetV2, RepDepthwiseSeparable
from torch import nn

from lookalike.models.backbones.chain import chain
from lookalike.models.downscale_dropout import DownscaleDropout
from lookalike.models.initialise import initialise_layers, kaiming_normal
from lookalike.models.parameter_rules import no_decay_in_batch_norms


def pp_lcnet_v2_base(
    num_classes: int = 1000,
    *,
    dropout: float = 0.2,
    num_features: int = 1280,
    head_conv: bool = True,
) -> nn.Sequential:
    """Build PP-LCNetV2 with timm's parallel branches, as a chain under timm's names.

    Source: the reference's documentation and timm's ``lcnetv2_base``; there is no paper.

    Args:
        num_classes: Width of the classifier.
        dropout: Share of the features dropped before the classifier. They are not enlarged in
            training but shrunk in evaluation.
        num_features: Width of the convolution behind the pooling.
        head_conv: Have that convolution.
    """
    trunk = LCNetV2(num_classes=num_classes, head_hidden_size=num_features if head_conv else None)
    tail: dict[str, nn.Module] = {}
    if head_conv:
        tail = {
            "conv_head": trunk.conv_head,
            "act2": nn.ReLU(),
            "dropout": DownscaleDropout(dropout),
        }
    model = chain(
        stem=trunk.stem,
        stages=trunk.stages,
        global_pool=nn.AdaptiveAvgPool2d(1),
        **tail,
        flatten=nn.Flatten(),
        classifier=trunk.classifier,
    )
    return _start(model)


def pp_lcnet_v2_base_shitu(
    num_classes: int = 1000,
    *,
    dropout: float = 0.2,
    num_features: int = 1280,
) -> nn.Sequential:
    """Build the PP-LCNetV2 of PP-ShiTuV2.

    Against the base: the last stage keeps the size of the map, so its first block has a 1 x 1
    branch too; the convolution behind the pooling has an offset and no activation.

    Source: the reference's documentation; there is no paper.

    Args:
        num_classes: Width of the classifier.
        dropout: Share of the features dropped before the classifier. They are not enlarged in
            training but shrunk in evaluation.
        num_features: Width of the convolution behind the pooling.
    """
    model = pp_lcnet_v2_base(num_classes, dropout=dropout, num_features=num_features)
    last, old = model.get_submodule("stages.3"), model.get_submodule("stages.3.0")
    assert isinstance(last, nn.Sequential)
    assert isinstance(old, RepDepthwiseSeparable)
    last[0] = RepDepthwiseSeparable(
        old.in_chs, old.out_chs, stride=1, dw_kernel_size=old.dw_kernel_size, use_rep=True
    )
    conv = model.get_submodule("conv_head")
    assert isinstance(conv, nn.Conv2d)
    model.conv_head = nn.Conv2d(conv.in_channels, num_features, 1)
    model.act2 = nn.Identity()
    return _start(chain(**dict(model.named_children())))


def _start(model: nn.Sequential) -> nn.Sequential:
    initialise_layers(model, conv=kaiming_normal)
    no_decay_in_batch_norms(model)
    return model
