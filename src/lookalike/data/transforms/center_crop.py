"""The middle of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lookalike.data.transforms.image_kinds import crop, size_of, through_pil, width_height
from lookalike.data.transforms.resize import Backend, Interpolation, known_rule, resize


class CropImage:
    """Cut out the middle; nothing is padded.

    Args:
        size: Edge of a square, or ``[width, height]``.

    Raises:
        ValueError: When it meets an image that is smaller.

    Example:
        >>> from PIL import Image
        >>> CropImage([4, 6])(Image.new("RGB", (9, 9))).size
        (4, 6)
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = width_height(size)

    def __call__(self, image: Any) -> Any:
        width, height = check_fits(self.size, size_of(image))
        have_width, have_height = size_of(image)
        left, top = (have_width - width) // 2, (have_height - height) // 2
        return crop(image, left, top, width, height)


class CropImageAtRatio:
    """Cut the central square of ``size / (size + pad)`` of the short side, resized to ``size``.

    The usual test crop (224 of 256) in one step, without resizing what is cut away.

    Args:
        size: Edge of the result.
        pad: What the crop leaves of an image scaled to ``size + pad``.
        interpolation: As in ResizeImage.
        backend: Whose resampling rule.

    Example:
        >>> from PIL import Image
        >>> CropImageAtRatio(size=24, pad=4)(Image.new("RGB", (53, 37))).size
        (24, 24)
    """

    def __init__(
        self,
        size: int,
        pad: int,
        interpolation: Interpolation | None = None,
        backend: Backend = "cv2",
    ) -> None:
        if size < 1 or pad < 0:
            raise ValueError(f"size must be positive and pad not negative, got {size} and {pad}.")
        self.size, self.share = size, size / (size + pad)
        self.interpolation, self.backend = known_rule(interpolation, backend), backend

    def __call__(self, image: Any) -> Any:
        width, height = size_of(image)
        edge = max(1, int(self.share * min(width, height)))
        middle = crop(image, (width - edge) // 2, (height - edge) // 2, edge, edge)
        return resize(middle, (self.size, self.size), self.interpolation, self.backend)


class CenterCrop:
    """Cut out the middle; an image that is smaller gets a black border. Follows torchvision.

    Args:
        size: Edge of a square, or ``[height, width]``.

    Example:
        >>> from PIL import Image
        >>> CenterCrop([6, 4])(Image.new("RGB", (9, 5))).size
        (4, 6)
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        height, width = width_height(size)
        self.size = (width, height)

    def __call__(self, image: Any) -> Any:
        width, height = self.size
        have_width, have_height = size_of(image)
        left, top = round((have_width - width) / 2), round((have_height - height) / 2)
        if left >= 0 and top >= 0:
            return crop(image, left, top, width, height)
        # Pillow fills what lies outside with black
        box = (left, top, left + width, top + height)
        return through_pil(image, lambda picture: picture.crop(box), "CenterCrop")


def check_fits(size: tuple[int, int], available: tuple[int, int]) -> tuple[int, int]:
    """Return the size of a crop.

    Raises:
        ValueError: If it is larger than the image.
    """
    if size[0] > available[0] or size[1] > available[1]:
        raise ValueError(
            f"a crop of {size[0]} x {size[1]} (width x height) does not fit into an image of "
            f"{available[0]} x {available[1]}; resize or pad the image first."
        )
    return size
