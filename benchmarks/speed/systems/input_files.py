"""Images as photographs are: detail of every scale, in JPEG files, and lists of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Array = np.ndarray[Any, np.dtype[Any]]
TRANSFORMS = [
    {"DecodeImage": {"to_rgb": True, "channel_first": False}},
    {"ResizeImage": {"size": 224}},
    {"RandFlipImage": {"flip_code": 1}},
    {"AugMix": {"prob": 0.5}},
    {
        "NormalizeImage": {
            "scale": 0.00392157,
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
            "order": "",
        }
    },
    {
        "RandomErasing": {
            "EPSILON": 0.5,
            "sl": 0.02,
            "sh": 0.4,
            "r1": 0.3,
            "mean": [0.0, 0.0, 0.0],
        }
    },
]
"""The training transforms of the seed document, with the decoding that its configs name."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def chain(sizes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the transforms of a case."""
    named = [
        {"ResizeImage": {"size": sizes["size"]}} if "ResizeImage" in one else one
        for one in TRANSFORMS
    ]
    return [one for one in named if sizes["augmix"] or "AugMix" not in one]


def write(cases: Sequence[Mapping[str, Any]], folder: str) -> None:
    """Write the images of the largest case and the list of them: path, label, camera."""
    images = Path(folder) / "images"
    images.mkdir(parents=True, exist_ok=True)
    count = max(case["images"] for case in cases)
    lines = []
    for number in range(count):
        path = images / f"{number}.jpg"
        if not path.exists():
            write_image(path, number)
        lines.append(f"{number}.jpg {number // 2} {number % 2}")
    (Path(folder) / "list.txt").write_text("\n".join(lines) + "\n")


def write_image(path: Path, number: int) -> None:
    """Write one image with sides of 400 to 1,000 pixels."""
    rng = np.random.default_rng([number, 7])
    width, height = (int(side) for side in rng.integers(400, 1001, size=2))
    picture = np.zeros((height, width, 3), dtype=np.float32)
    for cells in (2, 4, 8, 16, 32, 64, 128, 256):
        # amplitudes fall with the frequency as they do in photographs
        noise = rng.standard_normal((cells, cells, 3)).astype(np.float32) * cells**-0.75
        planes = [
            Image.fromarray(noise[..., plane]).resize((width, height), Image.Resampling.BICUBIC)
            for plane in range(3)
        ]
        picture += np.stack([np.asarray(plane) for plane in planes], axis=-1)
    gray = picture.mean(axis=2, keepdims=True)
    picture = 0.7 * gray + 0.3 * picture
    picture = 128 + 70 * (picture - picture.mean()) / picture.std()
    picture += rng.normal(0, 3, size=picture.shape)
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path, quality=90)


def paths(sizes: Mapping[str, Any], folder: str) -> list[str]:
    """Return the files of a case."""
    return [str(Path(folder) / "images" / f"{number}.jpg") for number in range(sizes["images"])]
