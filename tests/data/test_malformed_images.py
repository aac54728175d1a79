"""Files that no camera wrote give pixels or a data error: no traceback, no hang, no great memory.

All are read in one process of its own, under limits that end it if a file breaks them.
"""

import json
import subprocess
import sys

import pytest
from malformed_images import malformed_images

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CORPUS = malformed_images()
MEGABYTES = 1000
SECONDS = 60
READABLE = {
    "upside_down.bmp": (4, 4),
    "png_then_jpeg.png": (40, 48),
    "jpeg_then_archive.jpg": (40, 48),
    "jpeg_with_a_png_in_a_comment.jpg": (40, 48),
    "giant_exif.jpg": (40, 48),
    "giant_profile.jpg": (40, 48),
    "exif_points_to_itself.jpg": (48, 40),
    "exif_orientation_is_text.jpg": (40, 48),
    "animated_second_frame_broken.png": (40, 48),
    "second_frame_broken.gif": (40, 48),
    "bomb_of_64_million.png": (8000, 8000),
}

# what runs in the other process: one line of JSON per file, written before the next one is read
READER = f"""
import json, resource, signal, sys, warnings
from pathlib import Path
import numpy as np
from lookalike.data.decode import decode_image, read_image_bytes
from lookalike.data.doctor import examine
from lookalike.errors import DataError

warnings.simplefilter("error")
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
limit = used + {MEGABYTES} * 1_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

def decode(path):
    try:
        pixels = decode_image(read_image_bytes(path), name=path)
    except DataError as error:
        kind = "memory" if isinstance(error.__cause__, MemoryError) else "refused"
        return [kind, str(error)]
    assert pixels.dtype == np.uint8 and pixels.shape[2] == 3
    return ["pixels", pixels.shape[:2]]

for path in sorted(Path(sys.argv[1]).iterdir()):
    signal.alarm({SECONDS})
    found = [path.name, *decode(str(path)), examine(str(path)).problem]
    signal.alarm(0)
    print(json.dumps(found), flush=True)
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("malformed")
    for name, content in CORPUS.items():
        (folder / name).write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", READER, str(folder)],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    found = {name: rest for name, *rest in map(json.loads, done.stdout.splitlines())}
    return found, done


def test_there_are_enough_of_them():
    assert len(CORPUS) >= 60
    assert len(set(CORPUS.values())) > 0.95 * len(CORPUS)
    assert malformed_images() == CORPUS, "not the same ones each time"


def test_the_reader_survives_and_says_nothing(outcomes):
    found, done = outcomes
    last = max(found, default="(none)")
    assert done.returncode == 0, f"ended behind {last}: {done.stderr[-2000:]}"
    assert done.stderr == ""


@pytest.mark.parametrize("name", CORPUS)
def test_it_gives_pixels_or_a_data_error_with_its_name(outcomes, name):
    found, _ = outcomes
    assert name in found, "the reader died on it or before it"
    outcome, what, problem = found[name]
    if outcome == "pixels":
        assert problem == ""
        return
    assert outcome == "refused", what
    assert f"/{name}: " in what
    assert len(what) < 500 and len(what.splitlines()) == 1
    assert problem not in ("", "missing")


@pytest.mark.parametrize("name", READABLE)
def test_what_is_sound_in_spite_of_its_looks_is_read(outcomes, name):
    found, _ = outcomes
    assert found[name][:2] == ["pixels", list(READABLE[name])]


def test_what_claims_too_much_is_refused_before_it_unfolds(outcomes):
    found, _ = outcomes
    for name in (
        "bomb_900_million.png",
        "claims_a_billion.tif",
        "claims_16383.webp",
        "claims_a_billion.bmp",
        "screen_of_65535.gif",
        "frame_says_65535.jpg",
    ):
        outcome, _, problem = found[name]
        assert (outcome, problem) == ("refused", "too_large"), name
