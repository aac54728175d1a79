"""A window of fixed size at a random place."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from lookalike.data.transforms.center_crop import check_fits
from lookalike.data.transforms.image_kinds import crop, size_of, width_height


class RandomCropImage:
    """Cut out a window of fixed size; every place inside the image is equally likely.

    The reference's RandCropImageV2 can run one pixel out of the image and then returns less than
    the size; here it is this transform.

    Args:
        size: Edge of a square, or ``[width, height]``.

    Raises:
        ValueError: When it meets an image that is smaller.

    Example:
        >>> from PIL import Image
        >>> RandomCropImage([4, 6])(Image.new("RGB", (9, 9))).size
        (4, 6)
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = width_height(size)

    def __call__(self, image: Any) -> Any:
        available = size_of(image)
        width, height = check_fits(self.size, available)
        top = random.randint(0, available[1] - height)
        left = random.randint(0, available[0] - width)
        return crop(image, left, top, width, height)
