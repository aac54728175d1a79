"""A small data set in which every fault that the doctor knows has been planted."""

import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

EVAL_START = 200


def picture(seed, size=(64, 48)):
    """Return a picture unlike any other: blobs of colour and a few rectangles."""
    rng = np.random.default_rng(seed)
    blobs = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    pixels = np.array(blobs.resize(size, Image.Resampling.BICUBIC))
    for _ in range(4):
        top, left = rng.integers(0, size[1] - 8), rng.integers(0, size[0] - 8)
        height, width = rng.integers(6, 20, 2)
        pixels[top : top + height, left : left + width] = rng.integers(0, 256, 3)
    return Image.fromarray(pixels)


def bomb(width=30_000, height=30_000):
    """Return a PNG of a few bytes that claims to be large."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b"")


class Planted:
    """Writes images, their lists and what the doctor must say of them."""

    def __init__(self, root):
        self.images = Path(root) / "images"
        self.images.mkdir(parents=True)
        self.rows = {"Train": [], "Query": [], "Gallery": []}
        self.expected = set()
        self.seed = 0

    def list(self, split, name, label, camera=0, *kinds):
        """Put an image on a list; say what is to be found in this row."""
        self.rows[split].append((name, label, camera))
        self.expected |= {(kind, split, name) for kind in kinds}

    def picture(self, size=(64, 48)):
        self.seed += 1
        return picture(self.seed, size)

    def save(self, name, image, **options):
        path = self.images / name
        path.parent.mkdir(exist_ok=True)
        image.save(path, **options)
        return path

    def good(self, split, name, label, camera=0, *kinds, **options):
        image = self.picture()
        self.save(name, image, **{"quality": 92, **options})
        self.list(split, name, label, camera, *kinds)
        return image

    def write_lists(self, root):
        for split, rows in self.rows.items():
            text = "".join(f"{name} {label} {camera}\n" for name, label, camera in rows)
            (Path(root) / f"{split.lower()}.txt").write_text(text)


def plant(root):
    """Write ``images`` and three lists; return the findings to expect: kind, split, path."""
    data = Planted(root)
    for label in range(6):
        for view in range(4):
            data.good("Train", f"good/{label}_{view}.jpg", label)
    _broken(data)
    _odd(data)
    _copies(data)
    data.good("Train", "lonely.jpg", 6, 0, "single_image")
    data.good("Train", "beyond_a.jpg", 99, 0, "label_out_of_range")
    data.good("Train", "beyond_b.jpg", 99)
    data.expected.add(("label_gap", "Train", ""))
    _evaluation(data)
    data.write_lists(root)
    return data.expected


def _broken(data):
    data.list("Train", "gone.jpg", 0, 0, "missing")
    (data.images / "empty.jpg").touch()
    data.list("Train", "empty.jpg", 0, 0, "empty")
    (data.images / "text.jpg").write_text("not a picture\n" * 30)
    data.list("Train", "text.jpg", 0, 0, "not_an_image")
    for ending in ("jpg", "png", "gif", "webp", "bmp"):
        path = data.save(f"cut.{ending}", data.picture())
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        data.list("Train", f"cut.{ending}", 1, 0, "truncated")
    path = data.save("flipped.png", data.picture())
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF
    path.write_bytes(content)
    data.list("Train", "flipped.png", 1, 0, "damaged")
    (data.images / "bomb.png").write_bytes(bomb())
    data.list("Train", "bomb.png", 1, 0, "too_large")
    (data.images / "folder.jpg").mkdir()
    data.list("Train", "folder.jpg", 1, 0, "unreadable")


def _odd(data):
    data.save("blank.png", Image.new("RGB", (64, 48), (7, 90, 200)))
    data.list("Train", "blank.png", 0, 0, "constant")
    data.save("tiny.png", data.picture((64, 48)).resize((20, 40)))
    data.list("Train", "tiny.png", 0, 0, "small")
    data.save("really_png.jpg", data.picture(), format="PNG")
    data.list("Train", "really_png.jpg", 0, 0, "wrong_extension")
    data.save("print.jpg", data.picture().convert("CMYK"))
    data.list("Train", "print.jpg", 0, 0, "cmyk")
    wide = np.asarray(data.picture().convert("L")).astype(np.uint16) * 257
    data.save("xray.png", Image.fromarray(wide))
    data.list("Train", "xray.png", 0, 0, "deep", "gray")
    data.save("palette.png", data.picture().quantize(32))
    data.list("Train", "palette.png", 0, 0, "palette")
    data.save("film.webp", data.picture(), save_all=True, append_images=[data.picture()])
    data.list("Train", "film.webp", 0, 0, "animated")
    exif = Image.Exif()
    exif[0x0112] = 6
    data.good("Train", "phone.jpg", 0, 0, "rotated", exif=exif)
    data.save("grey.jpg", data.picture().convert("L"))
    data.list("Train", "grey.jpg", 0, 0, "gray")
    glass = data.picture().convert("RGBA")
    glass.putalpha(Image.new("L", glass.size, 128))
    data.save("glass.png", glass)
    data.list("Train", "glass.png", 0, 0, "transparent")
    opaque = data.picture().convert("RGBA")
    data.save("opaque.png", opaque)
    data.list("Train", "opaque.png", 0, 0)


def _copies(data):
    data.list("Train", "good/2_0.jpg", 2, 0, "duplicate")
    bitmap = data.picture()
    data.save("same_pixels.png", bitmap)
    data.save("same_pixels.bmp", bitmap)
    data.list("Train", "same_pixels.png", 2)
    data.list("Train", "same_pixels.bmp", 2, 0, "duplicate")
    shutil.copy(data.images / "good/2_1.jpg", data.images / "two_minds.jpg")
    data.list("Train", "two_minds.jpg", 3, 0, "conflict")
    data.expected.add(("conflict", "Train", "good/2_1.jpg"))
    large = data.picture((256, 192))
    data.save("large.jpg", large, quality=95)
    data.list("Train", "large.jpg", 4, 0)
    data.save("resaved.jpg", large, quality=70)
    data.list("Train", "resaved.jpg", 4, 0, "near_duplicate")
    other = data.picture((256, 192))
    data.save("big.jpg", other, quality=95)
    data.list("Train", "big.jpg", 4, 0, "near_conflict")
    data.save("shrunk.jpg", other.resize((128, 96)), quality=90)
    data.list("Train", "shrunk.jpg", 5, 0, "near_conflict")


def _evaluation(data):
    for label in (200, 201, 202):
        data.good("Query", f"q{label}.jpg", label, 0)
        data.good("Gallery", f"g{label}.jpg", label, 1)
    shutil.copy(data.images / "good/0_0.jpg", data.images / "q_leak.jpg")
    data.list("Query", "q_leak.jpg", 200, 0, "leak")
    film = data.picture((256, 192))
    data.save("trained.jpg", film, quality=95)
    data.list("Train", "trained.jpg", 5, 0)
    data.save("g_leak.jpg", film, quality=70)
    data.list("Gallery", "g_leak.jpg", 201, 1, "near_leak")
    shutil.copy(data.images / "q200.jpg", data.images / "g_copy.jpg")
    data.list("Gallery", "g_copy.jpg", 200, 1)
    data.expected.add(("copy_in_gallery", "Query", "q200.jpg"))
    shutil.copy(data.images / "q201.jpg", data.images / "g_excluded.jpg")
    data.list("Gallery", "g_excluded.jpg", 201, 0)  # of the query's own camera
    close = data.picture((256, 192))
    data.save("q_close.jpg", close, quality=95)
    data.save("g_close.jpg", close, quality=70)
    data.list("Query", "q_close.jpg", 202, 0, "near_copy_in_gallery")
    data.list("Gallery", "g_close.jpg", 202, 1)
    data.good("Query", "q_alone.jpg", 300, 0, "unreachable_query")
    data.good("Query", "q_camera.jpg", 301, 5, "unreachable_query")
    data.good("Gallery", "g_camera.jpg", 301, 5)
