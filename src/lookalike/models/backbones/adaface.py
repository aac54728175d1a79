"""The ResNet variant that face recognition uses: IR-18."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from lookalike.models.backbones.chain import chain
from lookalike.models.initialise import initialise_layers, kaiming_normal

_WIDTHS = (64, 64, 128, 128, 256, 256, 512, 512)
_EMBEDDING = 512


class ImprovedResidual(nn.Module):
    """Residual block with a batch norm in front, and no activation behind the sum.

    Args:
        in_channels: Of the input.
        out_channels: Of the output.
        stride: Of the second convolution and the shortcut.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        if in_channels != out_channels:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(in_channels),
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.PReLU(out_channels),
            nn.Conv2d(out_channels, out_channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.res_layer(features) + self.shortcut_layer(features)  # type: ignore[no-any-return]


def adaface_ir_18(input_size: Sequence[int] = (112, 112)) -> nn.Sequential:
    """Build the 18-layer face network; its output is the embedding, ``[B, 512]``.

    Source: Kim et al., "AdaFace: Quality Adaptive Margin for Face Recognition", CVPR 2022; the
    block is Deng et al., "ArcFace", CVPR 2019, section 3.1. https://arxiv.org/abs/2204.00964

    Args:
        input_size: Height and width of the images: 112 or 224.
    """
    if tuple(input_size) not in ((112, 112), (224, 224)):
        raise ValueError(f"input_size: [112, 112] or [224, 224] expected, got {list(input_size)}")
    width = 64
    blocks = []
    for index, channels in enumerate(_WIDTHS):
        blocks.append(ImprovedResidual(width, channels, 1 if index % 2 else 2))
        width = channels
    area = (input_size[0] // 16) ** 2
    model = chain(
        input_layer=nn.Sequential(
            nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)
        ),
        body=nn.Sequential(*blocks),
        output_layer=nn.Sequential(
            nn.BatchNorm2d(width),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(width * area, _EMBEDDING),
            nn.BatchNorm1d(_EMBEDDING, affine=False),
        ),
    )
    initialise_layers(model, conv=kaiming_normal, linear=kaiming_normal)
    return model
