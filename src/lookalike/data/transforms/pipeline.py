"""A chain of transforms from the bytes of a file to the input of a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
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
    if it has a method ``in_place``, may then change it instead of a copy. One with a method
    ``into`` may be given the place of the image in its batch, if only such changes follow.

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

    def __call__(self, image: Any, room: NDArray[np.float32] | None = None) -> Any:
        """Return the image behind the chain.

        Args:
            image: Bytes, array or PIL image.
            room: ``[3, H, W]``, where the result may be written; it need not be.
        """
        if isinstance(image, bytes) and not self.decodes:
            image = decode_image(image)
            if self.backend == "pil":
                image = Image.fromarray(image)
        facts: dict[str, Any] = {}
        is_new, last = False, -1 if room is None else self._last_maker()
        transform: Any
        for number, transform in enumerate(self.transforms):
            in_place = getattr(transform, "in_place", None) if is_new else None
            if number == last:
                image = transform.into(image, room)
            else:
                image = (in_place or transform)(image)
            is_new = getattr(transform, "makes_new", False) or in_place is not None
            if isinstance(image, dict):
                facts |= image
                image = facts.pop("image")
        return {**facts, "image": image} if facts else image

    def _last_maker(self) -> int:
        """Return the number of the transform that may write into the batch, -1 for none."""
        number = len(self.transforms) - 1
        while number > 0 and hasattr(self.transforms[number], "in_place"):
            number -= 1
        return number if number >= 0 and hasattr(self.transforms[number], "into") else -1

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
