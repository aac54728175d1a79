"""Calls every function that runs a compiled loop, with arguments that fit and that do not.

``python -m tests.soak.kernels --count 10000 --json build/soak/kernels.json``. A call must return or
raise a ValueError; anything else is kept in the JSON file and makes the exit code 1. It is done in
two processes of its own: one in which every index of the loops is checked (NUMBA_BOUNDSCHECK), and
one whose allocator checks the heap at every call (MALLOC_CHECK_), where damage ends the process.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from ctypes.util import find_library
from pathlib import Path

import numpy as np
import torch

from lookalike.data.transforms import NormalizeImage, ToTensor, affine
from lookalike.data.transforms import value_tables as tables
from lookalike.data.transforms.aug_mix import blend
from lookalike.data.transforms.cv2_resize import resize_like_cv2
from lookalike.data.transforms.flip import flip
from lookalike.retrieval import (
    BinaryCodes,
    Int8Codes,
    MeanAveragePrecision,
    RecallAtK,
    ReRanking,
    augment_database,
    evaluate_retrieval,
    expand_queries,
    nearest_neighbours,
    rank_relevant,
    ranks_from_similarity,
)
from lookalike.retrieval.counting import Thresholds, count_tile
from lookalike.retrieval.nearest import nearest_rows
from lookalike.retrieval.open_set import best_matches
from lookalike.retrieval.pairs import count_pairs
from lookalike.retrieval.sparse import SparseRows, shared
from lookalike.types import EmbeddingTable

ROOT = Path(__file__).parents[2]
WHOLE = (torch.int64, torch.int64, torch.int64, torch.int32, torch.float32, torch.bool)
REAL = (torch.float32,) * 5 + (torch.float64, torch.float16, torch.int8, torch.complex64)
SIZES = (0, 1, 2, 3, 7, 16, 17, 40, 300)
ODD = (0.0, 1e-45, 1e-30, 1e19, 3e38, float("nan"), float("inf"), -float("inf"))


class Draw:
    """Draws arguments; with ``wild`` at 0 all of them fit each other."""

    def __init__(self, seed, wild=0.04):
        self.chance, self.wild = random.Random(seed), wild
        self.numbers = np.random.default_rng(seed)

    def odd(self):
        """Tell whether the next argument is to be wrong."""
        return self.chance.random() < self.wild

    def size(self):
        """Return a number of rows."""
        return self.chance.choice(SIZES[1:])

    def near(self, number):
        """Return a number, or another one."""
        return (
            max(0, number + self.chance.choice((-number, -1, 1, 5, 300))) if self.odd() else number
        )

    def whole(self, number, low, high):
        """Return ``[number]`` whole numbers of a range."""
        number, reach = self.near(number), (1000, 2**62)[self.chance.random() < 0.2]
        low, high = (-reach, reach) if self.odd() else (low, max(high, low + 1))
        values = torch.from_numpy(self.numbers.integers(low, high, number))
        if self.odd():
            values = values.to(self.chance.choice(WHOLE))
        return values[:, None] if self.odd() else values

    def table(self, rows, columns):
        """Return ``[rows, columns]`` numbers, in any layout."""
        rows, columns = self.near(rows), self.near(columns)
        made = torch.from_numpy(self.numbers.standard_normal((rows, columns))).float()
        if self.chance.random() < 0.3:
            made = made.round()  # many ties
        if made.numel() and self.odd():
            made.view(-1)[self.chance.randrange(made.numel())] = self.chance.choice(ODD)
        if self.odd():
            made = made * self.chance.choice(ODD)
        if self.odd():
            made = made.to(self.chance.choice(REAL))
        layout = self.chance.randrange(6)
        if layout == 0:
            made = made.T.contiguous().T
        elif layout == 1:
            made = made.repeat_interleave(2, dim=1)[:, ::2]
        elif layout == 2 and made.dtype.is_floating_point:
            made = made.requires_grad_()
        return made[0] if rows and self.odd() else made

    def pair(self):
        """Return two tables of one width."""
        columns = self.chance.choice((1, 2, 8, 33))
        return self.table(self.size(), columns), self.table(self.size(), columns)

    def k(self, usual):
        """Return a number of neighbours."""
        if self.odd():
            return self.chance.choice((0, -1, -(2**40), 2**40, 10**30, True, 2.5, None))
        return self.chance.randint(1, usual)

    def image(self):
        """Return a picture ``[H, W, 3]`` of bytes."""
        shape = (self.near(self.size()), self.near(self.size()), self.near(3))
        made = self.numbers.integers(0, 256, shape, dtype=np.uint8)
        if self.odd():
            made = made.astype(self.chance.choice((np.float32, np.int64, np.uint16)))
        return made[:, ::-1] if self.odd() else made


def length(table):
    """Return the number of rows, 0 for what has none."""
    return len(table) if table.ndim else 0


def neighbours(draw):
    query, gallery = draw.pair()
    own = draw.whole(length(query), -1, length(gallery)) if draw.chance.random() < 0.5 else None
    nearest_neighbours(
        query, gallery, draw.k(60), normalize=draw.chance.random() < 0.5, exclude=own
    )


def rows(draw):
    query, gallery = draw.pair()
    squares = None
    if draw.chance.random() < 0.5:
        squares = tuple(draw.table(length(side), 1).flatten() for side in (query, gallery))
    nearest_rows(query, gallery, draw.k(60), squares=squares)


def expansion(draw):
    query, gallery = draw.pair()
    alpha = draw.chance.choice((0.0, 3.0, *ODD) if draw.odd() else (0.0, 3.0))
    expand_queries(query, gallery, n=draw.k(20), alpha=alpha)
    augment_database(gallery, n=draw.k(20))


def re_ranking(draw):
    query, gallery = draw.pair()
    made = ReRanking(query, gallery, k1=draw.k(30), k2=draw.k(8), lamb=draw.chance.random())
    made.distances(draw.whole(draw.size(), 0, length(query)))


def facts(draw, query, gallery):
    """Return what excludes pairs."""
    found = {}
    for what, number in (("labels", 4), ("cameras", 3), ("ids", 50)):
        if what == "labels" or draw.chance.random() < 0.5:
            found[f"query_{what}"] = draw.whole(length(query), 0, number)
            found[f"gallery_{what}"] = draw.whole(length(gallery), 0, number)
        if draw.odd():
            found.pop(f"gallery_{what}", None)
    found.setdefault("query_labels", draw.whole(length(query), 0, 4))
    found.setdefault("gallery_labels", draw.whole(length(gallery), 0, 4))
    return found


def ranking(draw):
    query, gallery = draw.pair()
    given = {}
    if draw.chance.random() < 0.2:
        given["similarity"] = lambda some: draw.table(len(some), length(gallery))
    memory = draw.chance.choice((1, 10**5, 10**9))
    rank_relevant(query, gallery, **facts(draw, query, gallery), memory=memory, **given)


def pairs(draw):
    query, gallery = draw.pair()
    draw.chance.choice((count_pairs, best_matches))(query, gallery, **facts(draw, query, gallery))


def evaluation(draw):
    sides = [
        EmbeddingTable(
            side,
            draw.whole(length(side), 0, 4),
            [str(row) for row in range(draw.near(length(side)))],
            draw.whole(length(side), 0, 3) if draw.chance.random() < 0.5 else None,
        )
        for side in draw.pair()
    ]
    evaluate_retrieval(
        *sides,
        [RecallAtK([draw.k(9)]), MeanAveragePrecision()],
        normalize=draw.chance.random() < 0.5,
        same_images=draw.chance.random() < 0.5,
        re_ranking=draw.chance.random() < 0.2,
        protocol=draw.chance.choice(("exact", "reference")),
    )


def matrix(draw):
    scores = draw.table(draw.size(), draw.size())
    sides = [draw.whole(side, 0, 4) for side in (*scores.shape, 1)[:2]]
    keep = None if draw.chance.random() < 0.5 else draw.table(*(*scores.shape, 1)[:2]) != 0
    ranks_from_similarity(scores, *sides, keep)


def tile(draw):
    count, most, width = draw.size(), draw.chance.choice((0, 1, 3, 40)), draw.size()
    values = draw.table(count, most).detach()
    reached = torch.zeros(
        draw.near(count), draw.near(most + 1), dtype=draw.chance.choice(WHOLE[:3])
    )
    equal = torch.zeros(draw.near(count), draw.near(most), dtype=torch.int64)
    sizes = draw.whole(count, 0, most + 1)
    if not values.dtype.is_complex and values.ndim == 2:
        values = values.sort(dim=1).values
    count_tile(
        draw.table(count + draw.chance.choice((0, 0, 5)), width),
        Thresholds(values, sizes, reached, equal),
        (draw.whole(count, -5, width + 5), draw.whole(count, -5, width + 5)),
        draw.whole(count, -3, width + 3),
        width=draw.near(width) if draw.chance.random() < 0.5 else None,
    )


def sparse(draw):
    def made(count, num_columns):
        sizes = draw.whole(count, 0, 4)
        entries = int(sizes.sum()) if sizes.dtype == torch.int64 and sizes.ndim == 1 else 3
        entries = entries if 0 <= entries < 10**5 else 7
        columns = draw.whole(entries, 0, num_columns).int().flatten()
        return SparseRows.of(sizes, columns, torch.rand(draw.near(entries)))

    count, middle, items = draw.size(), draw.size(), draw.size()
    shared(made(count, middle), made(middle, items), draw.near(items))


def codes(draw):
    query, gallery = draw.pair()
    kind = draw.chance.choice((BinaryCodes, Int8Codes))
    left, right = kind.of(query), kind.of(gallery)
    labels = facts(draw, query, gallery)
    right.symmetric(left, torch.arange(len(left.take(torch.arange(1)))))
    right.asymmetric(query)
    rank_relevant(left, right, **labels)


def pixels(draw):
    image = draw.image()
    step = draw.chance.randrange(8)
    if step == 0:
        resize_like_cv2(image, (draw.near(draw.size()), draw.near(draw.size())))
    elif step == 1:
        flip(image, draw.chance.choice((1, 0, -1)))
    elif step == 2 and image.dtype == np.uint8 and image.shape[2:] == (3,) and image.size:
        tables.look_up(image, draw.numbers.integers(0, 256, (draw.near(3), 256), dtype=np.uint8))
    elif step == 3 and image.dtype == np.uint8 and image.shape[2:] == (3,) and image.size:
        tables.count_values(image)
    elif step == 4 and image.dtype == np.uint8 and image.shape[2:] == (3,):
        number = draw.chance.randrange(6)
        images = [draw.image() if draw.odd() else image.copy() for _ in range(number)]
        weights = draw.numbers.random(draw.near(number)).astype(np.float32)
        blend(image, images, weights, draw.chance.choice((0.5, 0.0, 1.0, -3.0)))
    elif step == 5 and image.dtype == np.uint8 and image.shape[2:] == (3,) and image.size:
        entries = draw.chance.choices((0.0, 1.0, -0.5, 40.0, -1e9, 1e300, *ODD), k=draw.near(6))
        affine.warp(image, entries)
        affine.rotate(image, draw.chance.uniform(-400, 400))
    elif step == 6 and image.shape[2:] == (3,):
        room = np.empty((3, *(draw.near(side) for side in image.shape[:2])), dtype=np.float32)
        NormalizeImage(order="hwc").into(image, room)
    elif image.dtype != np.uint16:
        ToTensor()(image)


CALLS = (neighbours, rows, expansion, re_ranking, ranking, pairs, evaluation, matrix, tile, sparse,
         codes, pixels)  # fmt: skip


def attempt(number, seed, wild=0.04):
    """Make one call; return its name, and what came of it: '', or an error."""
    call = CALLS[number % len(CALLS)]
    try:
        call(Draw(seed * 1_000_003 + number, wild))
    except ValueError as error:
        return call.__name__, type(error).__name__
    return call.__name__, ""


def measured(count, seed):
    """Make calls; return the figures."""
    came, failures, started = Counter(), [], time.monotonic()
    for number in range(count):
        try:
            name, error = attempt(number, seed)
            came[f"{name}: {error or 'result'}"] += 1
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            name = CALLS[number % len(CALLS)].__name__
            failures.append(
                {"call": name, "number": number, "error": f"{type(error).__name__}: {error}"}
            )
    return {"seed": seed, "calls": count, "came": dict(sorted(came.items())), "failures": failures,
            "seconds": round(time.monotonic() - started, 1)}  # fmt: skip


def checked(how, count, seed):
    """Make the calls in a process in which memory is checked."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}/src", "OMP_NUM_THREADS": "2"}
        if how == "bounds":
            # loops that were compiled without the check must not be found
            environment |= {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": folder}
        else:
            library = find_library("c_malloc_debug") or "libc_malloc_debug.so.0"
            environment |= {
                "MALLOC_CHECK_": "3",
                "MALLOC_PERTURB_": "165",
                "LD_PRELOAD": library,
            }
        command = [sys.executable, "-m", "tests.soak.kernels", "--child"]
        command += ["--count", str(count), "--seed", str(seed)]
        done = subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
    if done.returncode:
        failure = {"error": f"exit {done.returncode}: {done.stderr[-2000:]}"}
        return {"how": how, "calls": count, "failures": [failure]}
    return {"how": how, **json.loads(done.stdout.splitlines()[-1])}


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", action="store_true")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "soak" / "kernels.json")
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measured(options.count, options.seed)))
        return 0
    found = [checked(how, options.count, options.seed) for how in ("bounds", "heap")]
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(found, indent=1))
    for one in found:
        print(json.dumps({**one, "failures": len(one["failures"])}))
    return int(any(one["failures"] for one in found))


if __name__ == "__main__":
    sys.exit(main())
