"""What one image file is: readable or not, and everything odd about it."""

from __future__ import annotations

import io
import os
import warnings
from contextlib import suppress
from dataclasses import dataclass
from enum import IntFlag
from hashlib import blake2b
from pathlib import Path

import numpy as np
from PIL import Image

from lookalike.data.decode import (
    FORMATS,
    MAX_BYTES,
    MAX_PIXELS,
    RGBImage,
    decode_image,
    read_image_bytes,
)
from lookalike.data.doctor.fingerprint import fingerprint
from lookalike.errors import DataError

# libjpeg's AdobeRGB-like chroma rounding leaves grey JPEGs saved in colour one or two levels off
_GRAY_LEVELS = 2
_CONSTANT_LEVELS = 2
_LOOKED_AT_ONCE = 1_000_000
_ORIENTATION = 0x0112
_BITS_PER_SAMPLE = 258
_ENDINGS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".jpe", ".mpo"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "AVIF": (".avif", ".avifs"),
    "TIFF": (".tif", ".tiff"),
}


class Trait(IntFlag):
    """What may be odd about an image that can be read; each is the kind of its name."""

    CMYK = 1
    DEEP = 2
    PALETTE = 4
    ANIMATED = 8
    ROTATED = 16
    GRAY = 32
    TRANSPARENT = 64
    WRONG_EXTENSION = 128
    CONSTANT = 256


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What is known of an image file.

    Attributes:
        problem: A broken kind such as ``truncated``; empty if the image can be read.
        message: What is wrong with it.
        size: Bytes of the file.
        kind: ``JPEG``, ``PNG``, ...
        width: Pixels, turned upright.
        height: Pixels, turned upright.
        traits: What is odd.
        content: 8 bytes that tell its bytes from those of other files.
        pixels: 16 bytes that tell its pixels from those of other images.
        perceptual: Of :func:`fingerprint`.
        colours: Of :func:`fingerprint`.
    """

    problem: str = ""
    message: str = ""
    size: int = 0
    kind: str = ""
    width: int = 0
    height: int = 0
    traits: Trait = Trait(0)
    content: bytes = b""
    pixels: bytes = b""
    perceptual: int = 0
    colours: bytes = b""


def examine(file: str) -> ImageFacts:
    """Read an image as training does, and note what is odd about it.

    Args:
        file: Any path; whatever is there, the answer is a value, never an exception.

    Example:
        >>> examine("nowhere.jpg").problem
        'missing'
    """
    try:
        data = read_image_bytes(file)
    except DataError as error:
        return _unread(file, error)
    content = blake2b(data, digest_size=8).digest()
    try:
        pixels = decode_image(data)
    except DataError as error:
        message = str(error).removeprefix("image: ")
        return ImageFacts(_why_broken(data, message), message, len(data), content=content)
    kind, traits = _header(data)
    if Path(file).suffix.lower() not in _ENDINGS.get(kind, ()):
        traits |= Trait.WRONG_EXTENSION
    traits |= _look(pixels)
    height, width = pixels.shape[:2]
    perceptual, colours = fingerprint(pixels)
    return ImageFacts(
        size=len(data),
        kind=kind,
        width=width,
        height=height,
        traits=traits,
        content=content,
        pixels=blake2b(pixels.data, digest_size=16, key=f"{width} x {height}".encode()).digest(),
        perceptual=perceptual,
        colours=colours,
    )


def _unread(file: str, error: DataError) -> ImageFacts:
    size = 0
    with suppress(OSError, ValueError):
        size = os.stat(file).st_size
    message = str(error).removeprefix(f"{file}: ")
    if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
        return ImageFacts("missing", message)
    if "empty" in message:
        return ImageFacts("empty", message)
    return ImageFacts("too_large" if size > MAX_BYTES else "unreadable", message, size)


def _why_broken(data: bytes, message: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                width, height = image.size
    except Image.DecompressionBombError:
        return "too_large"
    except Exception:  # noqa: BLE001 - hostile headers fail in every way
        width = height = 0
    if width * height > MAX_PIXELS:
        return "too_large"
    if _cut_off(data):
        return "truncated"
    return "damaged" if width or "not an image" not in message else "not_an_image"


def _cut_off(data: bytes) -> bool:
    """Tell whether a file lacks the end that its format demands."""
    if data[:2] == b"\xff\xd8":
        return b"\xff\xd9" not in data[-4096:]
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return b"IEND" not in data[-4096:]
    if data[:4] == b"GIF8":
        return data.rstrip(b"\0")[-1:] != b";"
    if data[:4] == b"RIFF":
        return len(data) < int.from_bytes(data[4:8], "little") + 8
    if data[:2] == b"BM":
        return len(data) < int.from_bytes(data[2:6], "little")
    return False


def _header(data: bytes) -> tuple[str, Trait]:
    """Return the format and what its header tells."""
    traits = Trait(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            kind, mode = str(image.format), image.mode
            with suppress(Exception):
                # a damaged EXIF block does not cost the image
                if image.getexif().get(_ORIENTATION, 1) in range(2, 9):
                    traits |= Trait.ROTATED
            if mode == "CMYK":
                traits |= Trait.CMYK
            if mode.startswith("I") or _bits(image, data) > 8:
                traits |= Trait.DEEP
            if mode in ("P", "PA"):
                traits |= Trait.PALETTE
            with suppress(Exception):
                if _sees_through(image):
                    traits |= Trait.TRANSPARENT
            with suppress(Exception):
                # last: asking may move on to a second frame, and that one may be broken
                if getattr(image, "is_animated", False):
                    traits |= Trait.ANIMATED
    return kind, traits


def _bits(image: Image.Image, data: bytes) -> int:
    if image.format == "PNG":
        return data[24]
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, 8)
    return max(bits, default=8) if isinstance(bits, tuple) else int(bits)


def _sees_through(image: Image.Image) -> bool:
    """Tell whether any pixel is less than opaque."""
    if image.mode not in ("RGBA", "LA", "PA", "RGBa", "La") and "transparency" not in image.info:
        return False
    return bool(image.convert("RGBA").getchannel("A").getextrema()[0] < 255)  # type: ignore[operator]


def _look(pixels: RGBImage) -> Trait:
    """Tell whether an image has one colour, or is grey."""
    low = high = pixels[0, 0].astype(np.int16)
    gray = True
    step = max(1, _LOOKED_AT_ONCE // pixels.shape[1])
    # a sparse look first: nearly every image is neither, and shows it there
    for part in (pixels[::16, ::16], *(pixels[i : i + step] for i in range(0, len(pixels), step))):
        low = np.minimum(low, part.min(axis=(0, 1)))
        high = np.maximum(high, part.max(axis=(0, 1)))
        gray = gray and _is_gray(part)
        constant = int((high - low).max()) <= _CONSTANT_LEVELS
        if not (constant or gray):
            return Trait(0)
    return Trait.CONSTANT if constant else Trait.GRAY


def _is_gray(pixels: RGBImage) -> bool:
    green = pixels[:, :, 1].astype(np.int16)
    others = pixels[:, :, ::2].astype(np.int16)
    return int(np.abs(others - green[:, :, None]).max()) <= _GRAY_LEVELS
