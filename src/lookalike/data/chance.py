"""Tell transforms that leave something to chance from those that do not."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from lookalike.data.randomness import seeded
from lookalike.data.transforms.pipeline import Pipeline, to_chw_tensor
from lookalike.errors import DataError
from lookalike.types import ImageSource, Sample


def random_transforms(chain: Callable[[Any], Any]) -> list[str]:
    """Return the names of a chain's transforms that draw random numbers.

    They are tried on a picture of noise and need not say anything of themselves: one that draws
    moves a generator of Python, numpy or torch; one with a generator of its own gives another
    picture the second time.

    Example:
        >>> from lookalike.data.transforms import NormalizeImage, RandomFlip
        >>> random_transforms(Pipeline([RandomFlip(), NormalizeImage()]))
        ['RandomFlip']
    """
    transforms = chain.transforms if isinstance(chain, Pipeline) else [chain]
    image: Any = _noise()
    found = []
    if not getattr(transforms[0] if transforms else None, "decodes", False):
        backend = chain.backend if isinstance(chain, Pipeline) else "cv2"
        image = Pipeline([_same], backend=backend)(image)
    for transform in transforms:
        try:
            with seeded(1):
                before = _states()
                first = transform(_copy(image))
                drawn = _differ(before, _states())
            with seeded(1):
                second = transform(_copy(image))
            drawn = drawn or not torch.equal(to_chw_tensor(first), to_chw_tensor(second))
        except Exception:  # noqa: BLE001 - it does not fit noise; each image is watched later
            break
        if drawn:
            found.append(type(transform).__name__)
        image = first["image"] if isinstance(first, dict) else first
    return found


class Watched:
    """A data set whose samples must be the same each time.

    Args:
        dataset: Watched while it makes a sample.
    """

    def __init__(self, dataset: ImageSource) -> None:
        self.dataset = dataset

    @property
    def labels(self) -> Sequence[int]:
        return self.dataset.labels

    @property
    def cameras(self) -> Sequence[int] | None:
        return self.dataset.cameras

    @property
    def paths(self) -> Sequence[str]:
        return self.dataset.paths

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        before = _states()
        sample = self.dataset[index]
        if _differ(before, _states()):
            raise DataError(
                f"{self.dataset.paths[index]}: its transforms draw random numbers; features that "
                "are computed once need transforms that always do the same."
            )
        return sample


def _states() -> list[Any]:
    drawn = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    return [random.getstate(), drawn["key"].tobytes(), drawn["pos"], torch.get_rng_state()]


def _differ(before: list[Any], after: list[Any]) -> bool:
    return before[:3] != after[:3] or not torch.equal(before[3], after[3])


def _noise() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def _same(image: Any) -> Any:
    return image


def _copy(image: Any) -> Any:
    if isinstance(image, bytes):
        return image
    return image.clone() if isinstance(image, torch.Tensor) else image.copy()
