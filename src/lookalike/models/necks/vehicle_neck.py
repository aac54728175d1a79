"""A convolution on the pooled map, as the vehicle models use it."""

from __future__ import annotations

import math
from typing import Literal

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lookalike.models.initialise import reference_conv

Pair = int | tuple[int, int]


class VehicleNeck(nn.Module):
    """Map pooled features to embeddings with a convolution, 1 x 1 by default.

    Args:
        in_channels: Channels of the backbone's features.
        out_channels: D, length of the embedding.
        kernel_size: Edge of the kernel, in pixels, or its height and width.
        stride: Step, in pixels, or along height and width.
        padding: Pixels added on each side, or above and below, left and right. ``same`` adds what
            makes the output the input's size divided by the stride, ``valid`` nothing.
        dilation: Distance of the kernel's taps, in pixels, or along height and width.
        groups: Channel groups.
        padding_mode: What is added: ``zeros``, ``reflect``, ``replicate`` or ``circular``.
        bias: Add a learned offset.

    Raises:
        ValueError: If a number of channels is not positive, or ``same`` meets a dilation or a
            ``padding_mode``.

    Shape:
        - features: ``[B, in_channels, H, W]``, usually pooled to 1 x 1.
        - output: ``[B, D]``.

    Example:
        >>> import torch
        >>> VehicleNeck(8, 4)(torch.randn(2, 8, 1, 1)).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair = 1,
        stride: Pair = 1,
        padding: Pair | Literal["same", "valid"] = 0,
        dilation: Pair = 1,
        groups: int = 1,
        padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros",
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if in_channels < 1 or out_channels < 1:
            raise ValueError(
                f"in_channels and out_channels must be positive, got {in_channels} and "
                f"{out_channels}."
            )
        self.same = padding == "same"
        if self.same and (padding_mode != "zeros" or dilation not in (1, (1, 1))):
            raise ValueError("padding: same goes with padding_mode: zeros and dilation: 1 only.")
        self.in_features, self.out_features = in_channels, out_channels
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=0 if isinstance(padding, str) else padding,
            dilation=dilation,
            groups=groups,
            bias=bias,
            padding_mode=padding_mode,
        )
        reference_conv(self.conv)

    def forward(self, features: Tensor) -> Tensor:
        if features.ndim == 2:
            features = features[:, :, None, None]
        if self.same:
            features = F.pad(features, self._border(*features.shape[-2:]))
        if self.training and features.shape[-2:] == (1, 1) and self._is_product:
            # a training step through a convolution of one pixel takes four times as long
            return F.linear(features.flatten(1), self.conv.weight.flatten(1), self.conv.bias)
        return self.conv(features).flatten(1)  # type: ignore[no-any-return]

    @property
    def _is_product(self) -> bool:
        conv = self.conv
        if type(conv) is not nn.Conv2d:  # one that rounds is called as it is
            return False
        return conv.kernel_size == (1, 1) and conv.padding == (0, 0) and conv.groups == 1

    def _border(self, height: int, width: int) -> list[int]:
        """Return the pixels left, right, above and below; of an odd number more come behind."""
        border: list[int] = []
        for axis, length in ((1, width), (0, height)):
            kernel, stride = self.conv.kernel_size[axis], self.conv.stride[axis]
            total = max(0, (math.ceil(length / stride) - 1) * stride + kernel - length)
            border += [total // 2, total - total // 2]
        return border
