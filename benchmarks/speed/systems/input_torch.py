"""The chain in torchvision, on tensors and on Pillow, and in timm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data.auto_augment import augment_and_mix_transform
from timm.data.random_erasing import RandomErasing
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import InterpolationMode, v2

from benchmarks.speed.plan import Where
from benchmarks.speed.systems.input_files import MEAN, STD, paths
from benchmarks.speed.work import Work


def work(sizes: Mapping[str, Any], where: Where, read: Callable[[str], Any]) -> Work:
    """Read all images of the case, batch by batch."""
    files, batch = paths(sizes, where.folder), sizes["batch"]
    torch.manual_seed(where.seed)

    def call() -> dict[str, Any]:
        shape: tuple[int, ...] = ()
        for first in range(0, len(files), batch):
            stacked = torch.stack([read(path) for path in files[first : first + batch]])
            shape = tuple(stacked.shape)
        return {"shape": "x".join(map(str, shape))}

    return Work(call, len(files))


def _augmentations(sizes: Mapping[str, Any], **resize: Any) -> list[Any]:
    size = (sizes["size"], sizes["size"])
    chain: list[Any] = [
        v2.Resize(size, InterpolationMode.BILINEAR, **resize),
        v2.RandomHorizontalFlip(),
    ]
    if sizes["augmix"]:
        mix = v2.AugMix(severity=1, mixture_width=3, chain_depth=1, alpha=0.1)
        chain.append(v2.RandomApply([mix], 0.5))
    return chain


def _ending() -> list[Any]:
    return [
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(MEAN, STD, inplace=True),
        v2.RandomErasing(0.5, scale=(0.02, 0.4), ratio=(0.3, 1 / 0.3), inplace=True),
    ]


def tensors(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare torchvision's chain on uint8 tensors, resized as OpenCV does."""
    chain = v2.Compose([*_augmentations(sizes, antialias=False), *_ending()])

    def read(path: str) -> Any:
        data = torch.from_numpy(np.fromfile(path, dtype=np.uint8))
        return chain(decode_jpeg(data, mode=ImageReadMode.RGB))

    return work(sizes, where, read)


def pillow(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare torchvision's chain on Pillow's images."""
    chain = v2.Compose([*_augmentations(sizes), v2.ToImage(), *_ending()])
    return work(sizes, where, lambda path: chain(Image.open(path).convert("RGB")))


def timm_chain(sizes: Mapping[str, Any], where: Where) -> Work:
    """Prepare what timm puts together: Pillow, its own AugMix and its own erasing."""
    size = (sizes["size"], sizes["size"])
    chain: list[Any] = [v2.Resize(size, InterpolationMode.BILINEAR), v2.RandomHorizontalFlip()]
    if sizes["augmix"]:
        mix = augment_and_mix_transform("augmix-m1-w3-d1-a0.1", {})
        chain.append(v2.RandomApply([mix], 0.5))
    erase = RandomErasing(0.5, min_area=0.02, max_area=0.4, mode="const", device="cpu")
    ending = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    composed = v2.Compose([*chain, *ending])

    def read(path: str) -> Any:
        return erase(composed(Image.open(Path(path)).convert("RGB")))

    return work(sizes, where, read)
