"""Classes and cameras of several splits, numbered once by their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lookalike.data.columns import Integers
from lookalike.data.label_files import ImageList
from lookalike.names import share_names


def share_classes(
    splits: Sequence[ImageList], *, known: Sequence[str] | None = None
) -> list[ImageList]:
    """Number the classes of several splits once: equal names become equal numbers.

    Splits whose labels are numbers of their list keep them, unless another split has names: then
    the numbers are names, too. Names that are all whole numbers, such as the folders ``007`` and
    ``12``, are compared as numbers.

    Args:
        splits: At least one. The classes of the first are numbered first, in their own order.
        known: Names of the classes ``0 .. C - 1``, for example of the training, which stay so.

    Example:
        >>> query = ImageList(["q"], [0], None, [1], class_names=["yak"])
        >>> gallery = ImageList(["a", "b"], [0, 1], None, [1, 2], class_names=["ant", "yak"])
        >>> [list(split.labels) for split in share_classes([query, gallery])]
        [[0], [1, 0]]
        >>> [list(split.labels) for split in share_classes([query], known=["ant", "yak"])]
        [[1]]
    """
    columns = [(split.labels, split.class_names) for split in splits]
    numbers, names = share_names(columns, known)
    if names is None:
        return list(splits)
    return [
        replace(split, labels=Integers(own), class_names=names)
        for split, own in zip(splits, numbers, strict=True)
    ]


def share_cameras(splits: Sequence[ImageList]) -> list[ImageList]:
    """Number the cameras of several splits once, by their names; see :func:`share_classes`."""
    having = [split for split in splits if split.cameras is not None]
    numbers, names = share_names([(split.cameras or (), split.camera_names) for split in having])
    if names is None:
        return list(splits)
    shared = {
        id(split): replace(split, cameras=Integers(own), camera_names=names)
        for split, own in zip(having, numbers, strict=True)
    }
    return [shared.get(id(split), split) for split in splits]
