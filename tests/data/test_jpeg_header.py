"""The light header says what Pillow says, or leaves the file to Pillow."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lookalike.data import decode
from lookalike.data.decode import decode_image
from lookalike.data.jpeg_header import read_jpeg_header
from lookalike.errors import DataError

SMOOTH = Image.fromarray(
    np.stack(np.meshgrid(np.arange(48), np.arange(32), [90]), axis=-1)[:, :, 0].astype(np.uint8) * 5
)


def jpeg(image=SMOOTH, **options):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()


def segment(marker, body):
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def with_segment(marker, body, data=None):
    data = data or jpeg()
    return data[:2] + segment(marker, body) + data[2:]


def tiff(order, *entries, start=8):
    """Return an EXIF block with one directory of (tag, kind, count, value)."""
    mark = {"<": b"II", ">": b"MM"}[order]
    head = mark + struct.pack(order + "HI", 42, start) + bytes(start - 8)
    rows = [struct.pack(order + "HHIHH", *entry, 0) for entry in entries]
    return head + struct.pack(order + "H", len(rows)) + b"".join(rows) + bytes(4)


def exif(*args, **options):
    return with_segment(0xE1, b"Exif\0\0" + tiff(*args, **options))


XMP = b"http://ns.adobe.com/xap/1.0/\0<x "
PLAIN = {
    "colour": (jpeg(), 1),
    "gray": (jpeg(SMOOTH.convert("L")), 1),
    "progressive": (jpeg(progressive=True), 1),
    "no subsampling": (jpeg(subsampling=0), 1),
    "restarts": (jpeg(restart_marker_rows=1), 1),
    "comment": (jpeg(comment=b"a cup"), 1),
    "profile": (jpeg(icc_profile=bytes(200)), 1),
    "adobe's rgb": (jpeg(keep_rgb=True), 1),
    "xmp": (with_segment(0xE1, XMP + b"/>"), 1),
    "turned, little end first": (exif("<", (0x0110, 3, 1, 4), (0x0112, 3, 1, 6)), 6),
    "turned, big end first": (exif(">", (0x0112, 3, 1, 8), start=20), 8),
    "exif without orientation": (exif("<", (0x0110, 3, 1, 4)), 1),
    "nonsense orientation": (exif("<", (0x0112, 3, 1, 99)), 99),
}
LEFT_TO_PILLOW = {
    "cmyk": jpeg(SMOOTH.convert("CMYK")),
    "no jpeg": b"\x89PNG\r\n\x1a\n",
    "nothing": b"",
    "two pictures": with_segment(0xE2, b"MPF\0" + bytes(40)),
    "turned by xmp": with_segment(0xE1, XMP + b'tiff:Orientation="6"/>'),
    "orientation as a long number": exif("<", (0x0112, 4, 1, 6)),
    "two orientations": exif("<", (0x0112, 3, 1, 6), (0x0112, 3, 1, 8)),
    "two exif blocks": with_segment(0xE1, b"Exif\0\0" + tiff("<"), exif("<")),
    "exif that ends early": with_segment(0xE1, b"Exif\0\0" + tiff("<", (0x0112, 3, 1, 6))[:-9]),
    "photoshop": with_segment(0xED, b"Photoshop 3.0\0" + bytes(30)),
    "short jfif": with_segment(0xE0, b"JFIF\0"),
    "junk between segments": jpeg()[:2] + b"\0" + jpeg()[2:],
    "cut in the header": jpeg()[:100],
    "long tables": with_segment(0xDB, b"\x10" + bytes(128)),
    "no table": with_segment(0xDB, b"\x10" + bytes(20)),
}


def by_pillow(data):
    with Image.open(io.BytesIO(data)) as image:
        orientation = image.getexif().get(0x0112, 1)
        return (image.format, image.mode in ("RGB", "L"), *image.size, orientation)


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_file_is_read_as_by_pillow(name):
    data, orientation = PLAIN[name]
    assert read_jpeg_header(data) == (48, 32, orientation)
    assert by_pillow(data) == ("JPEG", True, 48, 32, orientation)


@pytest.mark.parametrize("name", LEFT_TO_PILLOW)
def test_what_is_unusual_is_left_to_pillow(name):
    assert read_jpeg_header(LEFT_TO_PILLOW[name]) is None


def outcome(data):
    try:
        return decode_image(data, max_pixels=100_000).tobytes()
    except DataError as error:
        return str(error)


def check_outcome(data):
    """With and without the light header the same pixels come out, or the same message."""
    found = outcome(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "read_jpeg_header", lambda data: None)
        assert found == outcome(data)


@pytest.mark.parametrize("name", [*PLAIN, *LEFT_TO_PILLOW])
def test_the_outcome_is_that_of_pillow(name):
    check_outcome(LEFT_TO_PILLOW[name] if name in LEFT_TO_PILLOW else PLAIN[name][0])


FILES = [PLAIN[name][0] for name in ("colour", "profile", "turned, little end first")]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FILES), st.integers(0, 700), st.binary(min_size=1, max_size=6))
def test_a_damaged_header_ends_as_with_pillow(data, place, noise):
    check_outcome(data[:place] + noise + data[place + len(noise) :])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([0xE0, 0xE1, 0xE2, 0xEE, 0xDB, 0xC0, 0xDD, 0xF0]), st.data())
def test_any_segment_ends_as_with_pillow(marker, draw):
    starts = [b"", b"JFIF\0", b"Adobe", b"ICC_PROFILE\0", b"MPF\0", XMP, b"Exif\0\0II*\0\x08\0\0\0"]
    body = draw.draw(st.sampled_from(starts)) + draw.draw(st.binary(max_size=40))
    check_outcome(with_segment(marker, body))


def test_a_large_image_is_refused_in_the_same_words():
    with pytest.raises(DataError, match=r"cup: 48 x 32 pixels; more than 1,000 are refused"):
        decode_image(jpeg(), max_pixels=1000, name="cup")


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_scaled_image_is_no_smaller_than_asked_and_looks_alike(orientation):
    big = SMOOTH.resize((400, 240), Image.Resampling.BICUBIC)
    data = with_segment(0xE1, b"Exif\0\0" + tiff("<", (0x0112, 3, 1, orientation)), jpeg(big))
    size = (100, 60) if orientation == 1 else (60, 100)
    whole = decode_image(data)
    for asked in (size, (size[0] - 9, size[1] - 9)):
        scaled = decode_image(data, scale_to=asked)
        assert scaled.shape == (size[1], size[0], 3)
        mean = whole.reshape(size[1], 4, size[0], 4, 3).mean(axis=(1, 3))
        assert np.abs(scaled - mean).max() < 12
    assert decode_image(data, scale_to=(10_000, 10_000)).shape == whole.shape
