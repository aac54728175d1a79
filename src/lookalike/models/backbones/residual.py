"""The two residual blocks of ResNet, under torchvision's names."""

from __future__ import annotations

from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions around which the input is added.

    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, figure 5, left.
    https://arxiv.org/abs/1512.03385

    Args:
        in_channels: Channels of the input.
        width: Channels inside; the output has as many.
        stride: Step of the first convolution.

    Shape:
        - features: ``[B, in_channels, H, W]``.
        - output: ``[B, width, H / stride, W / stride]``.
    """

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = _conv(in_channels, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, features: Tensor) -> Tensor:
        inner = self.relu(self.bn1(self.conv1(features)))
        inner = self.bn2(self.conv2(inner))
        inner += features if self.downsample is None else self.downsample(features)
        return self.relu(inner)  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """A 3 x 3 convolution between two of 1 x 1, around which the input is added.

    The stride is in the 3 x 3 convolution, as in most implementations but not in the paper.

    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, figure 5, right.
    https://arxiv.org/abs/1512.03385

    Args:
        in_channels: Channels of the input.
        width: Channels inside; the output has four times as many.
        stride: Step of the 3 x 3 convolution.

    Shape:
        - features: ``[B, in_channels, H, W]``.
        - output: ``[B, 4 * width, H / stride, W / stride]``.
    """

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = _conv(in_channels, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _conv(width, width * self.expansion, 1)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, width * self.expansion, stride)

    def forward(self, features: Tensor) -> Tensor:
        inner = self.relu(self.bn1(self.conv1(features)))
        inner = self.relu(self.bn2(self.conv2(inner)))
        inner = self.bn3(self.conv3(inner))
        inner += features if self.downsample is None else self.downsample(features)
        return self.relu(inner)  # type: ignore[no-any-return]


def residual_parts(
    block: type[BasicBlock] | type[Bottleneck], depths: tuple[int, ...], num_classes: int
) -> dict[str, nn.Module]:
    """Return the stem, the stages and the classifier of a ResNet, by torchvision's names.

    Args:
        block: What the stages are made of.
        depths: Blocks in each of the four stages.
        num_classes: Width of the classifier.
    """
    parts: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        "bn1": nn.BatchNorm2d(64),
        "relu": nn.ReLU(inplace=True),
        "maxpool": nn.MaxPool2d(3, stride=2, padding=1),
    }
    channels = 64
    for stage, depth in enumerate(depths):
        blocks = []
        for number in range(depth):
            stride = 2 if stage and number == 0 else 1
            blocks.append(block(channels, 64 * 2**stage, stride))
            channels = 64 * 2**stage * block.expansion
        parts[f"layer{stage + 1}"] = nn.Sequential(*blocks)
    return {**parts, "fc": nn.Linear(channels, num_classes)}


def _conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(
        in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False
    )


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(_conv(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))
