"""Images on disk with labels: what every reader returns."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lookalike.data.decode import RGBImage, decode_image
from lookalike.data.image_files import FolderFiles, ImageFiles
from lookalike.data.label_files import ImageList
from lookalike.data.transforms.pipeline import Pipeline, to_chw_tensor
from lookalike.errors import DataError, LookalikeError
from lookalike.types import Sample

Backend = Literal["cv2", "pil"]
Box = tuple[int, int, int, int]


class ImageDataset:
    """Images in files under one root, decoded and transformed when asked for.

    A broken image is an error that names the file; it is never replaced by another one.

    Args:
        image_root: Folder the list's paths are relative to.
        images: Paths, labels and cameras.
        transforms: From the file's bytes to the network's input; None decodes to ``[3, H, W]``
            in 0 to 255.
        source: What messages call the list.
        boxes: One ``(left, top, right, bottom)`` in pixels per image to cut it to; the
            transforms then see the decoded, cut image.
        label_key: Take each image's label from this fact that the transforms return beside the
            image (such as ``random_rot90_orientation``), not from the list.
        files: Where the images are read from; by default a file each, below ``image_root``.

    Attributes:
        labels: One per image.
        cameras: One per image, or None.
        paths: One per image, relative to ``image_root``.
        class_names: Name of each label, or None where labels are numbers of the list.
        camera_names: Name of each camera, or None where cameras are numbers of the list.

    Raises:
        DataError: If the root or one of the images is missing.
    """

    def __init__(
        self,
        image_root: str | Path,
        images: ImageList,
        *,
        transforms: Callable[..., Any] | None = None,
        source: str | Path = "",
        boxes: Sequence[Box] | None = None,
        label_key: str | None = None,
        files: ImageFiles | None = None,
    ) -> None:
        self.image_root = Path(image_root)
        self.images = images
        self.transforms = transforms or Pipeline([])
        self.source = str(source)
        self.boxes = boxes
        self.label_key = label_key
        self.num_classes: int | None = None
        self.files = files or FolderFiles(self.image_root, images.paths, self.where)

    @property
    def labels(self) -> Sequence[int]:
        return self.images.labels

    @property
    def cameras(self) -> Sequence[int] | None:
        return self.images.cameras

    @property
    def paths(self) -> Sequence[str]:
        return self.images.paths

    @property
    def class_names(self) -> Sequence[str] | None:
        return self.images.class_names

    @property
    def camera_names(self) -> Sequence[str] | None:
        return self.images.camera_names

    def __len__(self) -> int:
        return len(self.images.paths)

    def __getitem__(self, index: int) -> Sample:
        return self.read_into(index, None)

    def read_into(self, index: int, room: NDArray[np.float32] | None) -> Sample:
        """Return an image, which may lie in ``room`` ``[3, H, W]``, its place in a batch."""
        data = self.file_bytes(index)
        try:
            image = self._cut(data, index)
            is_chain = isinstance(self.transforms, Pipeline)
            made = self.transforms(image, room) if is_chain else self.transforms(image)
            tensor, label = to_chw_tensor(made), self._label(made, index)
        except LookalikeError as error:
            reason = str(error).removeprefix("image: ")
            raise DataError(f"{self.files.name(index)}: {reason}") from error
        except Exception as error:  # noqa: BLE001 - any transform may fail on any image
            raise DataError(
                f"{self.files.name(index)}: a transform failed ({type(error).__name__}: {error})."
            ) from error
        cameras = self.images.cameras
        return Sample(tensor, label, -1 if cameras is None else cameras[index], index)

    def _label(self, made: Any, index: int) -> int:
        if self.label_key is None:
            return self.images.labels[index]
        facts = made if isinstance(made, dict) else {}
        if self.label_key not in facts:
            known = ", ".join(sorted(set(facts) - {"image"})) or "none"
            raise DataError(
                f"no transform tells '{self.label_key}', which label_key names; facts told: "
                f"{known}."
            )
        label = int(facts[self.label_key])
        if self.num_classes is not None and not 0 <= label < self.num_classes:
            raise DataError(
                f"label {label} ('{self.label_key}') is outside [0, {self.num_classes}), the "
                "head's classes."
            )
        return label

    def file_bytes(self, index: int) -> bytes:
        """Return the content of an image's file."""
        return self.files.read(index)

    def content(self, index: int) -> bytes:
        """Return a hash of all that makes the image of a sample: file, box, chain of transforms.

        Raises:
            DataError: If the chain has no description, or the file cannot be read.
        """
        description = getattr(self.transforms, "description", "")
        if not description or self.label_key is not None:
            what = "their labels come" if self.label_key else "they come, without a description,"
            raise DataError(f"{self.source}: images have no content: {what} from transforms.")
        box = None if self.boxes is None else self.boxes[index]
        backend = getattr(self.transforms, "backend", "")
        chain = f"{backend} {description} {box}\n"
        return hashlib.sha256(chain.encode() + self.file_bytes(index)).digest()

    def with_transforms(self, transforms: Callable[[Any], Any]) -> ImageDataset:
        """Return the same images under other transforms."""
        other = copy(self)
        other.transforms = transforms
        return other

    def with_images(self, images: ImageList) -> ImageDataset:
        """Return the same images with other labels or cameras."""
        other = copy(self)
        other.images = images
        return other

    def _cut(self, data: bytes, index: int) -> bytes | RGBImage:
        if self.boxes is None:
            return data
        left, top, right, bottom = self.boxes[index]
        return np.ascontiguousarray(decode_image(data)[top:bottom, left:right])

    def where(self, index: int) -> str:
        """Return ``list:line`` of an image, for messages."""
        return f"{self.source}:{self.images.lines[index]}" if self.source else self.paths[index]

    def check_labels(self, num_classes: int) -> None:
        """Refuse labels that a head with ``num_classes`` outputs cannot learn.

        Raises:
            DataError: Names the first such line and both ways to mend it.
        """
        self.num_classes = num_classes
        labels = np.asarray(self.labels)
        if labels.max(initial=-1) < num_classes:
            return
        first = int(np.argmax(labels >= num_classes))
        raise DataError(
            f"{self.where(first)}: label {labels[first]} is outside [0, {num_classes}): the head's "
            f"class_num is {num_classes}, the largest label is {labels.max()} and there are "
            f"{len(np.unique(labels))} different ones. Set Arch.Head.class_num to "
            f"{labels.max() + 1} or more, or relabel: True in the data set."
        )
