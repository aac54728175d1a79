"""libjpeg-turbo alone: what no chain can pass."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import simplejpeg

from benchmarks.speed.plan import Where
from benchmarks.speed.systems.input_files import paths
from benchmarks.speed.work import Work


def full(sizes: Mapping[str, Any], where: Where) -> Work:
    """Decode the files at full size."""
    files = paths(sizes, where.folder)

    def call() -> None:
        for path in files:
            simplejpeg.decode_jpeg(Path(path).read_bytes(), colorspace="RGB")

    return Work(call, len(files))


def scaled(sizes: Mapping[str, Any], where: Where) -> Work:
    """Decode at half size or less where both sides stay above what the resize asks for."""
    files, size = paths(sizes, where.folder), sizes["size"]

    def call() -> None:
        for path in files:
            simplejpeg.decode_jpeg(
                Path(path).read_bytes(), colorspace="RGB", min_height=size, min_width=size
            )

    return Work(call, len(files))
