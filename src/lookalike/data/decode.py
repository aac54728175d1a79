"""Bytes of an image file to pixels: the one way every part of Lookalike reads an image.

Training, evaluation, export checks and serving all call :func:`decode_image`, so an odd file looks
the same everywhere: turned by its EXIF orientation, first frame of an animation, 16 bits scaled to
8, CMYK and palettes converted, transparency dropped or laid over white as asked.
"""

from __future__ import annotations

import ctypes
import io
import logging
import os
import stat
import struct
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError, _imaging

from lookalike.data.jpeg_header import read_jpeg_header
from lookalike.errors import DataError

RGBImage = NDArray[np.uint8]
Alpha = Literal["drop", "white"]

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "AVIF", "TIFF")
MAX_PIXELS = 64_000_000
MAX_BYTES = 256_000_000

_PIECE = 1 << 24
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_EXIF_ORIENTATION = 0x0112
_STRIP_PIXELS = 4_000_000


def read_image_bytes(path: str | Path) -> bytes:
    """Read a file, or say which file could not be read and why.

    Raises:
        DataError: If the file is missing, a folder, empty, or larger than 256 MB.
    """
    try:
        # a pipe that nobody writes to would be waited for without end
        descriptor = os.open(path, _FLAGS)
        try:
            facts = os.fstat(descriptor)
            # reading a folder fails by itself
            if not stat.S_ISREG(facts.st_mode) and not stat.S_ISDIR(facts.st_mode):
                raise DataError(f"{path}: not a regular file.")
            data = os.read(descriptor, min(facts.st_size, MAX_BYTES) + 1)
            while len(data) != facts.st_size and len(data) <= MAX_BYTES:
                more = os.read(descriptor, _PIECE)
                if not more:
                    break
                data += more
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise DataError(f"{str(path)!r}: not a file name ({error}).") from error
    if not data:
        raise DataError(f"{path}: the file is empty.")
    if len(data) > MAX_BYTES:
        raise DataError(f"{path}: larger than {MAX_BYTES:,} bytes; this is no photograph.")
    return data


def decode_image(
    data: bytes,
    *,
    alpha: Alpha = "drop",
    max_pixels: int = MAX_PIXELS,
    name: str = "image",
    scale_to: tuple[int, int] | None = None,
) -> RGBImage:
    """Decode an image file to ``[H, W, 3]`` uint8 RGB.

    Plain JPEG takes libjpeg-turbo's fast path; everything else goes through Pillow.

    Args:
        data: Content of a JPEG, PNG, WebP, BMP, GIF, AVIF or TIFF file.
        alpha: ``drop`` ignores transparency as the reference does; ``white`` lays the picture
            over white.
        max_pixels: Larger images are refused before they are decoded.
        name: What messages call the image.
        scale_to: ``(width, height)`` to which a JPEG may be shrunk while it is decoded: by the
            smallest of libjpeg's factors that leaves both sides as long. Other pixels than those
            of the whole image, resized.

    Raises:
        DataError: If the data is no image, is damaged or is too large.

    Example:
        >>> buffer = io.BytesIO()
        >>> Image.new("CMYK", (4, 2)).save(buffer, "JPEG")
        >>> decode_image(buffer.getvalue()).shape
        (2, 4, 3)
    """
    try:
        header = read_jpeg_header(data)
        # Pillow words the refusal
        if header is not None and header.width * header.height <= min(max_pixels, MAX_PIXELS):
            return _decode_jpeg(data, header.orientation, scale_to)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _silence_decoders()
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image.size, max_pixels, name)
                if image.format == "JPEG" and image.mode in ("RGB", "L"):
                    orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
                    return _decode_jpeg(data, orientation, scale_to)
                return _decode_other(image, alpha)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(
            f"{name}: not an image, or of a kind that is not read ({', '.join(FORMATS)})."
        ) from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{name}: {str(error).rstrip('.')}.") from error
    except Exception as error:  # noqa: BLE001 - decoders fail in every way; AVIF's by RuntimeError
        raise DataError(f"{name}: damaged image ({error}).") from error


@cache
def _silence_decoders() -> None:
    """Keep decoders from printing; what they say is in the error, which names the file."""
    # without any handler, the logging module prints what Pillow logs beside raising it
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    with suppress(AttributeError, OSError):
        # libtiff prints unless it is given no handler; Pillow does that for its warnings alone
        silence = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
        silence.argtypes, silence.restype = [ctypes.c_void_p], ctypes.c_void_p
        silence(None)


def image_format(data: bytes) -> str:
    """Return the format of an image file: one of FORMATS.

    Raises:
        DataError: If it is none of them.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return str(image.format)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"image: not of a kind that is read ({', '.join(FORMATS)}).") from error


def _check_size(size: tuple[int, int], max_pixels: int, name: str) -> None:
    width, height = size
    if width * height > max_pixels:
        raise DataError(
            f"{name}: {width} x {height} pixels; more than {max_pixels:,} are refused because a "
            "small file could fill the memory."
        )


def _decode_jpeg(data: bytes, orientation: int, scale_to: tuple[int, int] | None) -> RGBImage:
    width, height = scale_to or (0, 0)
    if orientation in (5, 6, 7, 8):
        width, height = height, width
    pixels: RGBImage = simplejpeg.decode_jpeg(
        data,
        colorspace="RGB",
        fastdct=False,
        fastupsample=False,
        min_width=width,
        min_height=height,
    )
    return pixels if orientation == 1 else _turn(pixels, orientation)


def _turn(pixels: RGBImage, orientation: int) -> RGBImage:
    """Undo an EXIF orientation (2 to 8) as Pillow's ``exif_transpose`` does."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _decode_other(image: Image.Image, alpha: Alpha) -> RGBImage:
    image.seek(0)
    with suppress(struct.error, SyntaxError, ValueError, KeyError, TypeError):
        # a damaged EXIF block does not cost the image
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        return _scale_16_bits(image)
    if image.mode == "F":
        raise ValueError("pixels are floating point numbers")
    width, height = image.size
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    # in strips: converting all at once takes four copies of a large image
    step = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        strip = image.crop((0, top, width, bottom)) if step < height else image
        pixels[top:bottom] = np.asarray(_to_rgb(strip, alpha))
    return pixels


def _to_rgb(image: Image.Image, alpha: Alpha) -> Image.Image:
    transparent = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    if transparent and alpha == "white":
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        image = Image.alpha_composite(white, layer)
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def _scale_16_bits(image: Image.Image) -> RGBImage:
    gray = np.asarray(image)
    if gray.dtype != np.uint16:
        gray = np.clip(gray, 0, 65535)
    return np.repeat((gray >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
