"""Image files that no camera wrote: cut, bent, lying about their size, or something else entirely.

``malformed_images()`` makes them all, the same ones each time, from nothing but a seed.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image

SIZE = (48, 40)


def picture(mode="RGB", size=SIZE, seed=0):
    rng = np.random.default_rng(seed)
    blobs = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    return blobs.resize(size, Image.Resampling.BICUBIC).convert(mode)


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind, body, *, length=None, checksum=None):
    """Return a chunk of a PNG; length and checksum may lie."""
    crc = zlib.crc32(kind + body) if checksum is None else checksum
    return (
        struct.pack(">I", len(body) if length is None else length)
        + kind
        + body
        + struct.pack(">I", crc)
    )


def png(*chunks):
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def header(width, height, depth=8, colour=2, interlace=0):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


END = chunk(b"IEND", b"")
ROWS = b"".join(b"\0" + bytes([60 + 40 * y] * 12) for y in range(4))
PIXELS = chunk(b"IDAT", zlib.compress(ROWS))


def jpeg_segment(marker, body):
    return b"\xff" + bytes([marker]) + struct.pack(">H", (len(body) + 2) & 0xFFFF) + body


def into_jpeg(data, *segments):
    """Put segments behind the start of a JPEG."""
    return data[:2] + b"".join(segments) + data[2:]


def with_byte(data, place, change):
    return data[:place] + bytes([data[place] ^ change]) + data[place + 1 :]


def jpeg_of_size(data, width, height):
    """Let the frame header of a JPEG claim another size."""
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


def tiff(*entries, tail=b"", next_directory=0, order="<"):
    """Write a TIFF with one directory of (tag, type, count, value)."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    body = b"".join(struct.pack(order + "HHII", *entry) for entry in entries)
    directory = struct.pack(order + "H", len(entries)) + body
    return (
        mark
        + struct.pack(order + "I", 8)
        + directory
        + struct.pack(order + "I", next_directory)
        + tail
    )


def tiff_of(width, height, offset, num_bytes, *, bits=8, samples=1, compression=1):
    return tiff(
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, bits),
        (259, 3, 1, compression),
        (262, 3, 1, 1),
        (273, 4, 1, offset),
        (277, 3, 1, samples),
        (278, 4, 1, height),
        (279, 4, 1, num_bytes),
        tail=bytes(64),
    )


def bmp(width, height, *, bits=24, offset=54, compression=0, header_size=40, body=b""):
    info = struct.pack(
        "<IiiHHIIiiII", header_size, width, height, 1, bits, compression, 0, 0, 0, 0, 0
    )
    return b"BM" + struct.pack("<IHHI", 54 + len(body), 0, 0, offset) + info + body


def gif(width, height, *frames, trailer=b";"):
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0)
    return b"GIF89a" + screen + b"\0\0\0\xff\xff\xff" + b"".join(frames) + trailer


def gif_frame(width, height, data, *, left=0, top=0):
    descriptor = b"," + struct.pack("<HHHHB", left, top, width, height, 0)
    blocks = b"".join(
        bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255)
    )
    return descriptor + b"\x02" + blocks + b"\0"


def webp(width, height, body=b"\0" * 16, *, size=None):
    """Write the header of a lossless WebP that may lie."""
    bits = (width - 1) | ((height - 1) << 14)
    stream = b"\x2f" + struct.pack("<I", bits) + body
    part = b"VP8L" + struct.pack("<I", len(stream)) + stream
    length = 4 + len(part) if size is None else size
    return b"RIFF" + struct.pack("<I", length) + b"WEBP" + part


def box(kind, body, size=None):
    return struct.pack(">I", 8 + len(body) if size is None else size) + kind + body


def malformed_images():
    """Return name to content."""
    return {
        **_nothing(),
        **_cut_short(),
        **_flipped(),
        **_jpegs(),
        **_pngs(),
        **_tiffs(),
        **_bmps_and_gifs(),
        **_webps_and_avifs(),
        **_polyglots(),
    }


def _nothing():
    return {
        "zero_bytes.jpg": b"",
        "one_byte.png": b"\x89",
        "text.jpg": b"these are words, no pixels\n" * 40,
        "only_zeros.bmp": bytes(5000),
        "only_ff.jpg": b"\xff" * 5000,
        "html.png": b"<!doctype html><title>404 Not Found</title>" * 9,
        "svg.png": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "pdf.jpg": b"%PDF-1.7\n1 0 obj <<>> endobj\ntrailer <<>>\n%%EOF",
        "eps.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\nshowpage\n%%EOF\n",
        "git_lfs_pointer.jpg": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "ppm.jpg": b"P6 2 2 255\n" + bytes(12),
        "icon.png": b"\0\0\1\0\1\0\xff\xff\0\0\1\0\x20\0" + bytes(60),
    }


def _cut_short():
    whole = {
        "jpg": encode(picture(), "JPEG", quality=90),
        "progressive.jpg": encode(picture(), "JPEG", progressive=True),
        "png": encode(picture(), "PNG"),
        "gif": encode(picture(), "GIF"),
        "webp": encode(picture(), "WEBP"),
        "lossless.webp": encode(picture(), "WEBP", lossless=True),
        "bmp": encode(picture(), "BMP"),
        "tif": encode(picture(), "TIFF"),
        "deflate.tif": encode(picture(), "TIFF", compression="tiff_adobe_deflate"),
        "avif": encode(picture(), "AVIF"),
    }
    return {
        f"cut_at_{share}_percent.{ending}": data[: max(3, len(data) * share // 100)]
        for ending, data in whole.items()
        for share in (2, 30, 60, 97)
    }


def _flipped():
    whole = {
        "jpg": encode(picture(seed=1), "JPEG"),
        "png": encode(picture(seed=1), "PNG"),
        "gif": encode(picture(seed=1), "GIF"),
        "webp": encode(picture(seed=1), "WEBP"),
        "bmp": encode(picture(seed=1), "BMP"),
        "tif": encode(picture(seed=1), "TIFF"),
        "avif": encode(picture(seed=1), "AVIF"),
    }
    return {
        f"flipped_{place}.{ending}": with_byte(data, place, 0xFF)
        for ending, data in whole.items()
        for place in (4, 11, 17, 23, 29)
    }


def _jpegs():
    plain = encode(picture(), "JPEG")
    bare_exif = b"Exif\0\0"
    chain = tiff((0x0112, 3, 1, 6), (0x8769, 4, 1, 8), next_directory=8)
    many = struct.pack("<H", 0xFFFF) + b"".join(
        struct.pack("<HHII", tag & 0xFFFF, 3, 1, 1) for tag in range(5000)
    )
    return {
        "frame_says_65535.jpg": jpeg_of_size(plain, 65535, 65535),
        "frame_says_8000.jpg": jpeg_of_size(plain, 8000, 8000),
        "frame_says_zero.jpg": jpeg_of_size(plain, 0, 0),
        "frame_says_taller.jpg": jpeg_of_size(plain, SIZE[0], SIZE[1] * 9),
        "two_frames.jpg": plain[:-2] + plain[2:],
        "no_tables.jpg": plain.replace(b"\xff\xdb", b"\xff\xfe"),
        "no_huffman.jpg": plain.replace(b"\xff\xc4", b"\xff\xfe"),
        "giant_exif.jpg": into_jpeg(
            plain, *[jpeg_segment(0xE1, bare_exif + b"II*\0" + bytes(65_000))] * 200
        ),
        "giant_profile.jpg": into_jpeg(
            plain,
            *[
                jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes([n, 255]) + bytes(65_000))
                for n in range(1, 256)
            ],
        ),
        "profile_out_of_order.jpg": into_jpeg(
            plain, jpeg_segment(0xE2, b"ICC_PROFILE\0\x09\x02" + bytes(50))
        ),
        "exif_points_to_itself.jpg": into_jpeg(plain, jpeg_segment(0xE1, bare_exif + chain)),
        "exif_of_65535_tags.jpg": into_jpeg(
            plain, jpeg_segment(0xE1, bare_exif + b"II*\0\x08\0\0\0" + many[:60_000])
        ),
        "exif_count_overflows.jpg": into_jpeg(
            plain, jpeg_segment(0xE1, bare_exif + tiff((0x0112, 12, 0xFFFFFFFF, 0xFFFFFFF0)))
        ),
        "exif_orientation_is_text.jpg": into_jpeg(
            plain, jpeg_segment(0xE1, bare_exif + tiff((0x0112, 2, 4, 0x41414141)))
        ),
        "exif_orientation_is_many.jpg": into_jpeg(
            plain, jpeg_segment(0xE1, bare_exif + tiff((0x0112, 3, 2, 0x00060006)))
        ),
        "segment_longer_than_file.jpg": b"\xff\xd8\xff\xe0\xff\xff" + bytes(20),
        "endless_padding.jpg": plain[:2] + b"\xff" * 2_000_000 + plain[2:],
        "endless_comments.jpg": into_jpeg(plain, *[jpeg_segment(0xFE, b"")] * 100_000),
        "mpo_index_lies.jpg": into_jpeg(
            plain,
            jpeg_segment(0xE2, b"MPF\0" + tiff((0xB001, 4, 1, 0xFFFFFFFF), (0xB002, 7, 16, 8))),
        ),
        "adobe_says_ycck.jpg": into_jpeg(plain, jpeg_segment(0xEE, b"Adobe\0\x64\0\0\0\0\x02")),
        "photoshop_block_lies.jpg": into_jpeg(
            plain, jpeg_segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\xff\xff\xff\xff\xff\xff")
        ),
        "zero_bytes_in_the_middle.jpg": plain[:400] + bytes(200) + plain[600:],
    }


def _pngs():
    plain = encode(picture(), "PNG")
    frames = encode(picture(), "PNG", save_all=True, append_images=[picture(seed=5)])
    second = frames.index(b"fdAT")
    bomb = zlib.compress(bytes(60_000_000), 9)
    return {
        "bad_checksum.png": png(header(4, 4), chunk(b"IDAT", zlib.compress(ROWS), checksum=1), END),
        "bad_header_checksum.png": plain[:29] + b"\0\0\0\0" + plain[33:],
        "no_pixels.png": png(header(4, 4), END),
        "no_header.png": png(PIXELS, END),
        "two_headers.png": png(header(4, 4), header(9000, 9000), PIXELS, END),
        "zero_wide.png": png(header(0, 4), PIXELS, END),
        "bomb_900_million.png": png(header(30_000, 30_000), PIXELS, END),
        "bomb_of_64_million.png": png(
            header(8000, 8000, 1, 0), chunk(b"IDAT", zlib.compress(bytes(8000 * 1001), 9)), END
        ),
        "bomb_16_bits.png": png(
            header(7000, 7000, 16, 0), chunk(b"IDAT", zlib.compress(bytes(7000 * 14001), 9)), END
        ),
        "bomb_behind_the_pixels.png": png(header(4, 4), chunk(b"IDAT", bomb), END),
        "text_bomb.png": png(header(4, 4), chunk(b"zTXt", b"a\0\0" + bomb), PIXELS, END),
        "profile_bomb.png": png(header(4, 4), chunk(b"iCCP", b"a\0\0" + bomb), PIXELS, END),
        "text_without_end.png": png(header(4, 4), chunk(b"tEXt", b"x" * 900_000), PIXELS, END),
        "chunk_longer_than_file.png": png(
            header(4, 4), chunk(b"IDAT", zlib.compress(ROWS), length=0x7FFFFFFF)
        ),
        "chunk_of_negative_length.png": png(
            header(4, 4), chunk(b"IDAT", zlib.compress(ROWS), length=0xFFFFFFFF), END
        ),
        "nonsense_colour.png": png(header(4, 4, 8, 5), PIXELS, END),
        "nonsense_depth.png": png(header(4, 4, 7, 2), PIXELS, END),
        "palette_missing.png": png(header(4, 4, 8, 3), PIXELS, END),
        "palette_too_short.png": png(header(4, 4, 8, 3), chunk(b"PLTE", b"\0\0\0"), PIXELS, END),
        "interlaced_nonsense.png": png(header(4, 4, interlace=1), PIXELS, END),
        "exif_points_nowhere.png": png(
            header(4, 4), chunk(b"eXIf", b"II*\0\xff\xff\xff\x7f"), PIXELS, END
        ),
        "animated_second_frame_broken.png": frames[: second + 8] + bytes(40) + END,
        "frame_larger_than_canvas.png": png(
            header(4, 4),
            chunk(b"acTL", struct.pack(">II", 2, 0)),
            chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 9000, 9000, 0, 0, 1, 1, 0, 0)),
            PIXELS,
            END,
        ),
        "four_billion_frames.png": png(
            header(4, 4), chunk(b"acTL", struct.pack(">II", 0xFFFFFFFF, 0)), PIXELS, END
        ),
        "many_empty_chunks.png": png(header(4, 4), *[chunk(b"abCd", b"")] * 50_000, PIXELS, END),
    }


def _tiffs():
    loop = struct.pack("<H", 0) + struct.pack("<I", 8)
    return {
        "offset_outside.tif": tiff_of(8, 8, 0x7FFFFFF0, 64),
        "directory_outside.tif": b"II*\0\xf0\xff\xff\x7f" + bytes(20),
        "directory_in_a_loop.tif": b"II*\0\x08\0\0\0" + loop,
        "directory_of_65535_tags.tif": b"II*\0\x08\0\0\0\xff\xff" + bytes(6000),
        "directories_point_at_themselves.tif": tiff((330, 4, 1, 8), (34665, 4, 1, 8)),
        "claims_a_billion.tif": tiff_of(40_000, 40_000, 150, 64),
        "claims_60_million.tif": tiff_of(8000, 7500, 150, 64),
        "strip_of_four_gigabytes.tif": tiff_of(8, 8, 150, 0xFFFFFFFF),
        "seven_bits.tif": tiff_of(8, 8, 150, 64, bits=7),
        "sixty_thousand_samples.tif": tiff_of(8, 8, 150, 64, samples=60_000),
        "unknown_compression.tif": tiff_of(8, 8, 150, 64, compression=55_555),
        "jpeg_compression_of_zeros.tif": tiff_of(8, 8, 150, 64, compression=7),
        "lzw_of_zeros.tif": tiff_of(8, 8, 150, 64, compression=5),
        "fax_of_zeros.tif": tiff_of(8, 8, 150, 64, compression=4, bits=1),
        "tag_count_overflows.tif": tiff((256, 4, 0xFFFFFFFF, 8), (257, 4, 1, 8)),
        "size_is_text.tif": tiff((256, 2, 4, 0x41414141), (257, 2, 4, 0x41414141)),
        "zero_wide.tif": tiff_of(0, 8, 150, 64),
        "big_endian_nothing.tif": tiff(order=">"),
        "bigtiff_nothing.tif": b"II+\0\x08\0\0\0" + b"\xff" * 40,
        "floats.tif": encode(Image.new("F", (4, 4)), "TIFF"),
    }


def _bmps_and_gifs():
    film = encode(picture(), "GIF", save_all=True, append_images=[picture(seed=2)])
    good = b"\x84\x8f\xa9\xcb\xed\x0f"
    return {
        "upside_down.bmp": bmp(4, -4, body=bytes(48)),
        "most_negative_height.bmp": bmp(4, -(2**31), body=bytes(48)),
        "negative_width.bmp": bmp(-4, 4, body=bytes(48)),
        "offset_outside.bmp": bmp(4, 4, offset=0x7FFFFFFF, body=bytes(48)),
        "header_of_four_gigabytes.bmp": bmp(4, 4, header_size=0xFFFFFFFF, body=bytes(48)),
        "claims_a_billion.bmp": bmp(32_000, 32_000, body=bytes(48)),
        "runs_without_end.bmp": bmp(4, 4, bits=8, compression=1, body=b"\xff\x01" * 2000),
        "runs_past_the_edge.bmp": bmp(4, 4, bits=8, compression=1, body=b"\0\2\xff\xff" * 99),
        "zero_bits.bmp": bmp(4, 4, bits=0, body=bytes(48)),
        "no_frame.gif": gif(8, 8),
        "screen_of_65535.gif": gif(65535, 65535, gif_frame(4, 4, good)),
        "screen_of_7900.gif": gif(7900, 7900, gif_frame(4, 4, good)),
        "frame_outside_the_screen.gif": gif(8, 8, gif_frame(60_000, 60_000, good)),
        "frame_far_away.gif": gif(8, 8, gif_frame(4, 4, good, left=65_000, top=65_000)),
        "codes_of_nonsense.gif": gif(8, 8, gif_frame(8, 8, b"\xff" * 300)),
        "block_without_end.gif": gif(8, 8, b"!\xff\x0bNETSCAPE2.0", trailer=b""),
        "many_extensions.gif": gif(8, 8, *[b"!\xfe\x01a\0"] * 60_000, gif_frame(8, 8, good)),
        "loops_for_ever.gif": gif(
            8, 8, b"!\xff\x0bNETSCAPE2.0\x03\x01\xff\xff\0", gif_frame(8, 8, good)
        ),
        "second_frame_broken.gif": film[: len(film) * 3 // 4] + b"\xff" * 60,
        "twenty_thousand_frames.gif": gif(8, 8, *[gif_frame(1, 1, b"\x44\x01")] * 20_000),
    }


def _webps_and_avifs():
    film = encode(picture(), "WEBP", save_all=True, append_images=[picture(seed=3)])
    still = encode(picture(), "AVIF")
    return {
        "claims_16383.webp": webp(16383, 16383),
        "claims_7900.webp": webp(7900, 7900),
        "riff_size_lies.webp": webp(8, 8, size=0xFFFFFFFF),
        "riff_size_zero.webp": webp(8, 8, size=0),
        "only_a_riff.webp": b"RIFF\xff\xff\xff\xffWEBP",
        "second_frame_broken.webp": film[: len(film) * 3 // 4] + bytes(len(film) // 4),
        "wave_sound.webp": b"RIFF\x24\0\0\0WAVEfmt " + bytes(40),
        "only_a_brand.avif": box(b"ftyp", b"avif\0\0\0\0avifmif1"),
        "box_longer_than_file.avif": box(b"ftyp", b"avif\0\0\0\0avif") + box(b"meta", b"", 2**31),
        "box_of_no_size.avif": box(b"ftyp", b"avif\0\0\0\0avif") + box(b"meta", b"", 1) * 50,
        "boxes_in_boxes.avif": box(b"ftyp", b"avif\0\0\0\0avif") + _nested(b"meta", 400),
        "pixels_zeroed.avif": still[: len(still) // 2] + bytes(len(still) // 2),
        "size_box_lies.avif": _claiming(still, 30_000, 30_000),
    }


def _nested(kind, depth):
    body = b""
    for _ in range(depth):
        body = box(kind, b"\0\0\0\0" + body)
    return body


def _claiming(avif, width, height):
    place = avif.index(b"ispe") + 8
    return avif[:place] + struct.pack(">II", width, height) + avif[place + 8 :]


def _polyglots():
    jpeg, still = encode(picture(), "JPEG"), encode(picture(seed=4), "PNG")
    return {
        "gif_and_script.gif": b"GIF89a/*" + bytes(5) + b"*/=alert(1)//",
        "jpeg_then_archive.jpg": jpeg + b"PK\x03\x04" + bytes(200) + b"PK\x05\x06" + bytes(18),
        "png_then_jpeg.png": still + jpeg,
        "jpeg_with_a_png_in_a_comment.jpg": into_jpeg(jpeg, jpeg_segment(0xFE, still)),
        "png_signature_on_a_jpeg.png": b"\x89PNG\r\n\x1a\n" + jpeg,
        "jpeg_signature_on_a_png.jpg": b"\xff\xd8\xff" + still,
        "bmp_and_tiff.bmp": b"BM" + tiff_of(8, 8, 150, 64),
        "shebang.png": b"#!/bin/sh\necho pwned\n" + still,
    }
