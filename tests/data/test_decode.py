"""Every odd image file is decoded like Pillow does, or refused with its name; nothing hangs."""

import contextlib
import io
import os
import struct
import threading
import time
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from lookalike.data.decode import decode_image, read_image_bytes
from lookalike.errors import DataError


def colours(height=12, width=17):
    """Return smooth pixels without any symmetry, so that every turn and mirror differs."""
    y, x = np.mgrid[0:height, 0:width]
    red, green, blue = y * 255 // max(height - 1, 1), x * 255 // max(width - 1, 1), (x * y) % 256
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def by_pillow(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def png_chunks(*chunks):
    """Write a PNG by hand, for headers that Pillow would not write."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, body in chunks:
        parts += [struct.pack(">I", len(body)), kind, body]
        parts.append(struct.pack(">I", zlib.crc32(kind + body)))
    return b"".join(parts)


def png_header(width, height, depth, colour):
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)


RGB = Image.fromarray(colours())
JPEG = encode(Image.fromarray(colours(64, 96)), "JPEG", quality=90)
PNG = encode(Image.fromarray(colours(64, 96)), "PNG")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_undone_as_by_pillow(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    # a multiple of 16, so that chroma blocks do not straddle the edge
    image = Image.fromarray(colours(16, 32))
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    options |= {"lossless": True} if kind == "WEBP" else {}
    data = encode(image, kind, exif=exif.tobytes() if kind != "TIFF" else exif, **options)
    expected = by_pillow(data)
    pixels = decode_image(data)
    assert pixels.shape == ((32, 16, 3) if orientation > 4 else (16, 32, 3))
    assert np.abs(pixels.astype(int) - expected).max() <= (2 if kind == "JPEG" else 0)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_nonsense_orientation_leaves_the_image_alone(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(RGB, "JPEG", exif=exif)
    assert decode_image(data).shape == (12, 17, 3)


@pytest.mark.parametrize(
    "exif", [b"II*\0", b"MM\0*\0\0\0\x08", b"garbage", b"", b"II*\0\x08\0\0\0"]
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_does_not_cost_the_image(kind, exif):
    data = encode(RGB, kind, exif=b"Exif\0\0" + exif)
    assert decode_image(data).shape == (12, 17, 3)


@given(st.sampled_from(["JPEG", "PNG", "WEBP"]), st.binary(max_size=64))
@settings(max_examples=120, deadline=None)
def test_any_exif_gives_pixels_or_a_data_error(kind, exif):
    data = encode(RGB, kind, exif=b"Exif\0\0II*\0" + exif)
    with contextlib.suppress(DataError):
        assert decode_image(data).dtype == np.uint8


def odd_images():
    """Return name to (file content, expected pixels or None for Pillow's RGB)."""
    gray = Image.fromarray(colours()[:, :, 1])
    alpha = np.full((12, 17), 255, np.uint8)
    alpha[:4] = 0
    rgba = Image.fromarray(np.dstack([colours(), alpha]))
    palette = RGB.quantize(16)
    palette_data = encode(palette, "PNG", transparency=3)
    wide = (np.arange(12 * 17, dtype=np.uint16) * 321).reshape(12, 17)
    frames = [Image.fromarray(np.roll(colours(), shift, axis=1)) for shift in (0, 3, 6)]
    animated = {"save_all": True, "append_images": frames[1:], "duration": 50}
    rows = {
        "gray jpeg": (encode(gray, "JPEG"), None),
        "gray png": (encode(gray, "PNG"), None),
        "gray with alpha": (
            encode(Image.merge("LA", [gray, Image.fromarray(alpha)]), "PNG"),
            np.repeat(colours()[:, :, 1:2], 3, axis=2),
        ),
        "rgba, colour below full transparency kept": (encode(rgba, "PNG"), colours()),
        "rgba webp": (encode(rgba, "WEBP", lossless=True, exact=True), colours()),
        "palette": (encode(palette, "PNG"), None),
        "palette with transparency": (palette_data, np.asarray(palette.convert("RGB"))),
        "1 bit": (encode(gray.convert("1"), "PNG"), None),
        "16 bit gray": (
            encode(Image.fromarray(wide), "PNG"),
            np.repeat((wide >> 8).astype(np.uint8)[:, :, None], 3, axis=2),
        ),
        "animated gif": (encode(frames[0], "GIF", **animated), None),
        "animated webp": (encode(frames[0], "WEBP", lossless=True, **animated), colours()),
        "animated png": (encode(frames[0], "PNG", **animated), colours()),
        "multi-picture jpeg": (
            encode(frames[0], "MPO", save_all=True, append_images=frames[1:]),
            None,
        ),
        "cmyk jpeg": (encode(RGB.convert("CMYK"), "JPEG", quality=95), None),
        "progressive jpeg": (encode(RGB, "JPEG", progressive=True), None),
        "1 x 1": (encode(RGB.crop((0, 0, 1, 1)), "PNG"), None),
        "1 x 1 jpeg": (encode(RGB.crop((0, 0, 1, 1)), "JPEG"), None),
        "1 x 5000": (encode(Image.new("RGB", (1, 5000), (9, 8, 7)), "JPEG"), None),
        "5000 x 1": (encode(Image.new("RGB", (5000, 1), (9, 8, 7)), "PNG"), None),
        "bmp": (encode(RGB, "BMP"), None),
        "tiff": (encode(RGB, "TIFF"), None),
        "avif": (encode(RGB, "AVIF"), None),
    }
    body = b"".join(b"\0" + (np.asarray(r, ">u2") * 257).tobytes() for r in colours())
    deep = png_chunks(png_header(17, 12, 16, 2), (b"IDAT", zlib.compress(body)), (b"IEND", b""))
    return rows | {"16 bit rgb": (deep, colours())}


ODD = odd_images()


@pytest.mark.parametrize("name", ODD)
def test_odd_image_has_the_expected_pixels(name):
    data, expected = ODD[name]
    if expected is None:
        expected = by_pillow(data)
    pixels = decode_image(data)
    assert pixels.dtype == np.uint8
    assert pixels.flags["C_CONTIGUOUS"]
    assert pixels.flags["WRITEABLE"]
    assert pixels.shape == expected.shape
    # two builds of libjpeg may round differently
    assert np.abs(pixels.astype(int) - expected).max() <= (4 if "jpeg" in name else 0)


@pytest.mark.parametrize("name", ["gray with alpha", "rgba, colour below full transparency kept"])
def test_alpha_white_lays_the_picture_over_white(name):
    pixels = decode_image(ODD[name][0], alpha="white")
    assert (pixels[:4] == 255).all()
    assert (pixels[4:] == ODD[name][1][4:]).all()


def test_palette_transparency_over_white():
    data, _ = ODD["palette with transparency"]
    with Image.open(io.BytesIO(data)) as image:
        index = np.asarray(image)
    pixels = decode_image(data, alpha="white")
    assert (pixels[index == 3] == 255).all()


def test_the_content_decides_not_the_name(tmp_path):
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(encode(RGB, "PNG"))
    assert (decode_image(read_image_bytes(path), name=str(path)) == colours()).all()


BAD = {
    "text": b"this is no image\n" * 20,
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>',
    "one byte": b"\xff",
    "jpeg magic only": b"\xff\xd8\xff\xe0",
    "png magic only": b"\x89PNG\r\n\x1a\n",
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EOF\n",
    "truncated jpeg": JPEG[: len(JPEG) // 2],
    "jpeg without its end": JPEG[:-40],
    "truncated png": PNG[: len(PNG) // 2],
    "truncated gif": encode(RGB, "GIF")[:60],
    "truncated webp": encode(RGB, "WEBP")[:60],
    "png with a wrong checksum": PNG[:60] + b"\0\0\0\0\0\0" + PNG[66:],
    "jpeg header then zeros": JPEG[:300] + bytes(len(JPEG) - 300),
    "jpeg body cut out": JPEG[: len(JPEG) // 2] + JPEG[-2:],
    "float tiff": encode(Image.new("F", (4, 4)), "TIFF"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_image_is_a_data_error_with_its_name(name):
    with pytest.raises(DataError, match=r"shelf/cup\.jpg: .{10}"):
        decode_image(BAD[name], name="shelf/cup.jpg")


@given(st.integers(20, len(JPEG) - 20), st.binary(min_size=1, max_size=8))
@settings(max_examples=80, deadline=None)
def test_corrupt_middle_of_a_jpeg_gives_pixels_or_a_data_error(place, noise):
    data = JPEG[:place] + noise + JPEG[place + len(noise) :]
    try:
        pixels = decode_image(data, max_pixels=1_000_000)
    except DataError:
        return
    assert pixels.ndim == 3 and pixels.shape[2] == 3


@given(st.integers(0, len(PNG) - 1), st.integers(1, 255))
@settings(max_examples=80, deadline=None)
def test_changed_byte_of_a_png_gives_pixels_or_a_data_error(place, change):
    data = PNG[:place] + bytes([PNG[place] ^ change]) + PNG[place + 1 :]
    with contextlib.suppress(DataError):
        assert decode_image(data, max_pixels=1_000_000).shape[2] == 3


@given(st.binary(max_size=200), st.sampled_from([b"", b"GIF89a", b"BM", b"II*\0", b"RIFF"]))
@settings(max_examples=80, deadline=None)
def test_any_bytes_give_pixels_or_a_data_error(noise, magic):
    with contextlib.suppress(DataError):
        decode_image(magic + noise, max_pixels=1_000_000)


@pytest.mark.parametrize("size", [(30_000, 30_000), (2_147_483_647, 2), (65_500, 65_500)])
def test_a_decompression_bomb_is_refused_before_it_unfolds(size):
    data = png_chunks(
        png_header(*size, 8, 2), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")
    )
    start = time.process_time()
    with pytest.raises(DataError, match="boom"):
        decode_image(data, name="boom.png")
    assert time.process_time() - start < 1


def test_max_pixels_is_a_limit_of_its_own():
    with pytest.raises(DataError, match=r"17 x 12 pixels; more than 100 "):
        decode_image(encode(RGB, "PNG"), max_pixels=100)
    assert decode_image(encode(RGB, "PNG"), max_pixels=204).shape == (12, 17, 3)


def test_a_text_chunk_bomb_is_harmless():
    text = b"comment\0\0" + zlib.compress(bytes(80_000_000), 9)
    image = zlib.compress((b"\0" + bytes(3)) * 1)
    data = png_chunks(png_header(1, 1, 8, 2), (b"zTXt", text), (b"IDAT", image), (b"IEND", b""))
    with contextlib.suppress(DataError):
        assert decode_image(data).shape == (1, 1, 3)


def test_reading_never_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decode_image(ODD["palette with transparency"][0])
        with pytest.raises(DataError):
            decode_image(BAD["truncated png"])


def test_missing_folder_and_empty_file_are_named(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.jpg").mkdir()
    for name, reason in [
        ("missing.jpg", "No such file"),
        ("folder.jpg", "directory"),
        ("empty.jpg", "empty"),
    ]:
        with pytest.raises(DataError, match=reason) as caught:
            read_image_bytes(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


def test_symlink_loop_is_a_data_error(tmp_path):
    (tmp_path / "a.jpg").symlink_to("b.jpg")
    (tmp_path / "b.jpg").symlink_to("a.jpg")
    with pytest.raises(DataError, match=r"a\.jpg: cannot be read"):
        read_image_bytes(tmp_path / "a.jpg")


def test_a_name_with_a_null_byte_is_a_data_error(tmp_path):
    with pytest.raises(DataError):
        read_image_bytes(f"{tmp_path}/a\0b.jpg")


def test_a_fifo_is_refused_and_does_not_hang(tmp_path):
    path = tmp_path / "pipe.jpg"
    os.mkfifo(path)

    def rescue():
        """Free a reader that waits for a writer, so that a failure is not a hang."""
        for _ in range(100):
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                time.sleep(0.05)
            else:
                return

    timer = threading.Timer(1.0, rescue)
    timer.start()
    start = time.monotonic()
    try:
        with pytest.raises(DataError, match=r"pipe\.jpg"):
            read_image_bytes(path)
    finally:
        waited = time.monotonic() - start
        timer.cancel()
    assert waited < 0.9, "the read waited for somebody to write into the pipe"
