"""Aligned face pairs of five benchmarks, as the training sets of face recognition carry them."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import torch

from lookalike.data.decode import MAX_PIXELS
from lookalike.errors import DataError, cut
from lookalike.types import Sample

_LONGEST_CONF = 10_000
_FLOATS = re.compile(r"float(16|32|64)|[<>=|]?f[248]")

FACE_SETS = ("agedb_30", "cfp_fp", "lfw", "cplfw", "calfw")


class FacePairs:
    """Pairs of faces of AgeDB-30, CFP-FP, LFW, CPLFW and CALFW: the same person, or not.

    Images 2 i and 2 i + 1 of a set are a pair; both have the label 1 if they show one person, else
    0. The set is told as the camera. Images are given as they are stored, already normalised.

    For each set NAME the folder holds ``NAME/memfile/mem_file.dat`` (float32 ``[N, 3, H, W]``) with
    ``mem_file.dat.conf`` (JSON: shape, dtype) beside it, and ``NAME_list.npy`` (bool ``[N / 2]``).

    Args:
        root: The folder.

    Attributes:
        labels: One per image: 1 if its pair shows one person.
        cameras: One per image: its set's place in FACE_SETS.
        paths: One name per image, such as ``lfw/12``.

    Raises:
        DataError: If a file is missing, or shapes do not fit.
    """

    def __init__(self, root: str) -> None:
        self.image_root = Path(root)
        self.source = root
        self.arrays = [_faces(self.image_root, name) for name in FACE_SETS]
        same = [
            _same(self.image_root / f"{name}_list.npy", len(faces) // 2)
            for name, faces in zip(FACE_SETS, self.arrays, strict=True)
        ]
        sizes = [len(faces) for faces in self.arrays]
        self.starts = np.cumsum([0, *sizes[:-1]])
        self.labels: list[int] = np.concatenate([s.repeat(2) for s in same]).astype(int).tolist()
        self.cameras: list[int] = np.repeat(np.arange(len(sizes)), sizes).tolist()
        self.paths = [f"{FACE_SETS[k]}/{i}" for k, n in enumerate(sizes) for i in range(n)]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        which = self.cameras[index]
        pixels = self.arrays[which][index - self.starts[which]]
        image = torch.from_numpy(np.array(pixels, dtype=np.float32))
        return Sample(image, self.labels[index], which, index)


def _faces(root: Path, name: str) -> np.memmap:
    file = root / name / "memfile" / "mem_file.dat"
    try:
        conf = json.loads(_short_text(file.with_name("mem_file.dat.conf")))
        shape, kind = tuple(int(n) for n in conf["shape"]), _float(str(conf["dtype"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DataError(
            f"{file}.conf: cannot be read ({error}). A bcolz folder must be turned into a memory "
            "file first: write the array with ndarray.tofile, and its shape and dtype as JSON."
        ) from error
    fits = len(shape) == 4 and shape[1] == 3 and shape[0] % 2 == 0 and min(shape) > 0
    if not fits or kind.kind != "f" or shape[2] * shape[3] > MAX_PIXELS:
        raise DataError(f"{file}.conf: floats of shape [2 n, 3, H, W] expected, got {cut(conf)}.")
    needed = math.prod(shape) * kind.itemsize
    if not file.is_file() or file.stat().st_size < needed:
        raise DataError(f"{file}: {needed:,} bytes expected, as mem_file.dat.conf says.")
    return np.memmap(file, mode="r", shape=shape, dtype=kind)


def _short_text(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        text = file.read(_LONGEST_CONF + 1)
    if len(text) > _LONGEST_CONF:
        raise ValueError("too long for a shape and a type")
    return text


def _float(name: str) -> np.dtype:
    if not _FLOATS.fullmatch(name):
        raise ValueError(f"{cut(name, 40)} is no type of floats")
    return np.dtype(name)


def _same(file: Path, num_pairs: int) -> np.ndarray:
    try:
        # mapped: a header that claims more than the file holds is refused, not allocated
        same = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, TypeError, OverflowError) as error:
        raise DataError(f"{file}: cannot be read ({error}).") from error
    if not isinstance(same, np.ndarray) or same.shape != (num_pairs,):
        raise DataError(f"{file}: one array of {num_pairs} truth values expected.")
    return np.asarray(same, dtype=bool)
