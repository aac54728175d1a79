"""The images behind a split's transforms held against ``Global.image_shape``."""

from __future__ import annotations

from typing import Any

from lookalike.assembly.load import Run
from lookalike.config.read import KeyPath
from lookalike.data.randomness import seeded
from lookalike.errors import ConfigError, DataError

_TRIED = 8


def check_image_shape(run: Run, split: str, dataset: Any, *, may_skip: bool = False) -> None:
    """Refuse transforms that end with other images than the network is built for.

    A run without ``Global.image_shape`` is not checked; its default is a size to build for.
    The first image that can be read goes through the transforms; of several data sets, one of each.

    Args:
        run: The configuration.
        split: ``Train``, ``Metalearning``, ``Query``, ``Gallery`` or ``Eval``.
        dataset: Images behind their transforms.
        may_skip: Images that cannot be read are left out of the run.

    Raises:
        ConfigError: Names the data set, the shape of its images and ``Global.image_shape``.
        DataError: If none of the first images can be read, and none may be left out.
    """
    if "image_shape" not in run.config.Global.model_fields_set:
        return
    wanted = list(run.config.Global.image_shape)
    for part in getattr(dataset, "datasets", [dataset]):
        shape = _first_shape(part, may_skip=may_skip)
        if shape in (None, wanted):
            continue
        text = (
            f"the images are {shape} behind the transforms, and Global.image_shape is {wanted}. "
            f"Make them equal: resize or crop to {wanted[1]} x {wanted[2]}, or set "
            f"Global.image_shape: {shape}."
        )
        raise ConfigError([run.document.problem(_path(split), text)])


def _path(split: str) -> KeyPath:
    path: KeyPath = () if split in ("Train", "Metalearning") else ("Eval",)
    return ("DataLoader", *path, *([] if split == "Eval" else [split, "dataset"]))


def _first_shape(dataset: Any, *, may_skip: bool) -> list[int] | None:
    """Return the shape of the first image that can be read; None if that is not known."""
    failed: DataError | None = None
    for index in range(min(len(dataset), _TRIED)):
        try:
            with seeded(index):
                return list(dataset[index].image.shape)
        except DataError as error:
            failed = failed or error
    if failed is not None and not may_skip:
        raise failed
    return None
