"""The chain in albumentations on OpenCV; AugMix, which it has not, is mixed by hand."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2
import numpy as np

from benchmarks.speed.plan import Where
from benchmarks.speed.systems.input_files import MEAN, STD, paths
from benchmarks.speed.work import Work

Array = np.ndarray[Any, np.dtype[Any]]


def _distortions() -> list[Any]:
    linear = {"interpolation": cv2.INTER_LINEAR, "p": 1.0}
    return [
        A.AutoContrast(p=1.0),
        A.Equalize(p=1.0),
        A.Posterize(num_bits=4, p=1.0),
        A.Solarize(threshold_range=(0.9, 1.0), p=1.0),
        A.Affine(rotate=(-3, 3), **linear),
        A.Affine(shear={"x": (-2, 2), "y": (0, 0)}, **linear),
        A.Affine(shear={"x": (0, 0), "y": (-2, 2)}, **linear),
        A.Affine(translate_px={"x": (-7, 7), "y": (0, 0)}, **linear),
        A.Affine(translate_px={"x": (0, 0), "y": (-7, 7)}, **linear),
    ]


def _mix(image: Array, distortions: list[Any], rng: np.random.Generator) -> Array:
    """Blend three copies, each distorted once."""
    blend = rng.beta(0.1, 0.1)
    mixture = np.zeros(image.shape, dtype=np.float32)
    for weight in rng.dirichlet([0.1] * 3):
        copy = distortions[rng.integers(len(distortions))](image=image)["image"]
        cv2.scaleAdd(copy.astype(np.float32), float(weight), mixture, mixture)
    return cv2.addWeighted(image, 1 - blend, mixture.astype(np.uint8), blend, 0)


def chain(sizes: Mapping[str, Any], where: Where) -> Work:
    """Read all images of the case, batch by batch."""
    cv2.setNumThreads(where.threads if where.threads > 1 else 0)
    rng = np.random.default_rng(where.seed)
    size, files, batch = sizes["size"], paths(sizes, where.folder), sizes["batch"]
    before = A.Compose([A.Resize(size, size), A.HorizontalFlip(p=0.5)], seed=where.seed)
    after = A.Compose(
        [
            A.Normalize(MEAN, STD),
            A.Erasing(scale=(0.02, 0.4), ratio=(0.3, 1 / 0.3), p=0.5),
        ],
        seed=where.seed,
    )
    distortions = _distortions() if sizes["augmix"] else []

    def read(path: str) -> Array:
        decoded = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_COLOR)
        image = before(image=cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))["image"]
        if distortions and rng.random() < 0.5:
            image = _mix(image, distortions, rng)
        return after(image=image)["image"].transpose(2, 0, 1)  # type: ignore[no-any-return]

    def call() -> dict[str, Any]:
        shape: tuple[int, ...] = ()
        for first in range(0, len(files), batch):
            shape = np.stack([read(path) for path in files[first : first + batch]]).shape
        return {"shape": "x".join(map(str, shape))}

    return Work(call, len(files))
