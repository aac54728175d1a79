"""A chain of transforms from the bytes of a file to the input of a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lookalike.data.decode import decode_image


class Pipeline:
    """Apply transforms one after the other.

    A transform takes and returns an image: an ``[H, W, 3]`` RGB array, a PIL image or, behind
    ``ToTensor``, a ``[3, H, W]`` tensor. Bytes are decoded before the first transform unless that
    one decodes by itself. A transform may return a dictionary of ``image`` and facts about it;
    later ones see the image, and the chain ends with the dictionary.

    A transform with ``makes_new = True`` says that nobody else holds what it returns; the next one,
    if it has a method ``in_place``, may then change it instead of a copy.

    Args:
        transforms: The chain, in order.
        backend: ``pil`` hands the first transform a PIL image, ``cv2`` an array.
        description: Tells this chain from any other, with all arguments; empty where nobody knows.

    Example:
        >>> flip = lambda image: image[:, ::-1]
        >>> Pipeline([flip])(np.arange(6, dtype=np.uint8).reshape(1, 2, 3)).tolist()
        [[[3, 4, 5], [0, 1, 2]]]
    """

    def __init__(
        self,
        transforms: Sequence[Callable[[Any], Any]],
        *,
        backend: Literal["cv2", "pil"] = "cv2",
        description: str = "",
    ) -> None:
        self.transforms = list(transforms)
        self.backend, self.description = backend, description

    @property
    def decodes(self) -> bool:
        return bool(self.transforms) and getattr(self.transforms[0], "decodes", False)

    def __call__(self, image: Any) -> Any:
        if isinstance(image, bytes) and not self.decodes:
            image = decode_image(image)
            if self.backend == "pil":
                image = Image.fromarray(image)
        facts: dict[str, Any] = {}
        is_new = False
        for transform in self.transforms:
            in_place = getattr(transform, "in_place", None) if is_new else None
            image = (in_place or transform)(image)
            is_new = getattr(transform, "makes_new", False)
            if isinstance(image, dict):
                facts |= image
                image = facts.pop("image")
        return {**facts, "image": image} if facts else image

    def __repr__(self) -> str:
        return " > ".join(type(transform).__name__ for transform in self.transforms) or "(none)"


def with_backend(
    transforms: Callable[[Any], Any] | None, backend: Literal["cv2", "pil"]
) -> Callable[[Any], Any]:
    """Return the chain with the kind of image its first transform is given."""
    if transforms is None:
        return Pipeline([], backend=backend)
    if isinstance(transforms, Pipeline):
        return Pipeline(transforms.transforms, backend=backend, description=transforms.description)
    return transforms


def to_chw_tensor(image: Any) -> Tensor:
    """Turn what a chain ended with into ``[3, H, W]`` float32; facts beside the image are left out.

    Example:
        >>> to_chw_tensor(np.zeros((2, 5, 3), dtype=np.uint8)).shape
        torch.Size([3, 2, 5])
    """
    if isinstance(image, dict):
        image = image["image"]
    if isinstance(image, Tensor):
        return image.float()
    array = np.asarray(image)
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    channels_first = array.shape[0] == 3 and array.shape[2] != 3
    if not channels_first:
        array = array.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
