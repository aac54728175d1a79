"""A convolution on the pooled map, as the vehicle models use it."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from lookalike.models.initialise import reference_conv


class VehicleNeck(nn.Module):
    """Map pooled features to embeddings with a convolution, 1 x 1 by default.

    Args:
        in_channels: Channels of the backbone's features.
        out_channels: D, length of the embedding.
        kernel_size: Edge of the kernel, in pixels.
        stride: Step, in pixels.
        padding: Pixels added on each side.
        dilation: Distance of the kernel's taps, in pixels.
        groups: Channel groups.
        padding_mode: What is added: ``zeros``, ``reflect``, ``replicate`` or ``circular``.
        bias: Add a learned offset.

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
        kernel_size: int = 1,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
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
        self.in_features, self.out_features = in_channels, out_channels
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=bias,
            padding_mode=padding_mode,
        )
        reference_conv(self.conv)

    def forward(self, features: Tensor) -> Tensor:
        if features.ndim == 2:
            features = features[:, :, None, None]
        return self.conv(features).flatten(1)  # type: ignore[no-any-return]
