"""The policy that was learned on ImageNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lookalike.data.transforms.image_kinds import through_pil


class AutoAugment:
    """Apply one of 25 pairs of distortions that were found on ImageNet; torchvision's.

    Empty parts become gray. The reference rotates to one side only, torchvision to both.

    Source: Cubuk et al., "AutoAugment", CVPR 2019. https://arxiv.org/abs/1805.09501

    Args:
        fill: Colour of the parts that become empty, one number or one per channel.
    """

    def __init__(self, fill: int | Sequence[int] = 128) -> None:
        from torchvision.transforms import v2

        self.augment = v2.AutoAugment(fill=fill if isinstance(fill, int) else list(fill))

    def __call__(self, image: Any) -> Any:
        return through_pil(image, self.augment, "AutoAugment")
