"""Memory and open files of a small run, and of broken images, over thousands of steps.

``python -m tests.soak.flat`` writes build/soak/flat.json, and fails where a slope is above its
bound.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

from conftest import TINY_YAML, make_images, trainer_of, write_list

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
# a batch of the small run is 98 KB: one that is kept in a step would show tenfold
MOST_BYTES_PER_STEP = 4_000
# a decoded image of the broken ones is 12 KB
MOST_BYTES_PER_IMAGE = 1_000
MOST_GROWTH = 16_000_000


def open_files(process="self"):
    return len(os.listdir(f"/proc/{process}/fd"))


def memory(process="self"):
    """Return the resident bytes of a process; shared pages count in each."""
    with open(f"/proc/{process}/statm") as file:
        return int(file.read().split()[1]) * PAGE


class Record:
    """Memory and open files at steps."""

    def __init__(self):
        self.rows = []

    def take(self, step):
        workers = [child.pid for child in multiprocessing.active_children()]
        own, files = memory(), open_files()
        theirs = sum(memory(pid) for pid in workers)
        self.rows.append((step, own, theirs, files + sum(open_files(pid) for pid in workers)))

    def result(self, bound):
        """Return the slopes over the second half: the first fills pools and caches."""
        rows = np.array(self.rows[len(self.rows) // 2 :], dtype=float)
        steps = rows[:, 0]
        own, workers, files = (slope(steps, rows[:, column]) for column in (1, 2, 3))
        growth = int(rows[-1, 1] - rows[0, 1])
        spread = int(rows[:, 3].max() - rows[:, 3].min())
        return {
            "steps": int(steps[-1]),
            "bytes_per_step": round(own, 1),
            "bytes_per_step_of_workers": round(workers, 1),
            "bound": bound,
            "growth_mb": round(growth / 1e6, 2),
            "files": int(rows[-1, 3]),
            "files_per_1000_steps": round(1000 * files, 2),
            "files_spread": spread,
            "peak_mb": round(max(row[1] for row in self.rows) / 1e6, 1),
            "flat": own < bound and workers < bound and growth < MOST_GROWTH and spread < 20,
        }


def slope(steps, values):
    """Return the median slope of short stretches: a pool that grows once is no leak."""
    apart = max(1, len(steps) // 8)
    rise = values[apart:] - values[:-apart]
    return float(np.median(rise / (steps[apart:] - steps[:-apart])))


def train(
    folder, *, steps, num_workers=0, every=10, hook=lambda batch: None, bound=MOST_BYTES_PER_STEP
):
    """Train the small run for so many steps; return what became of memory and files."""
    write_list(folder / "train.txt", make_images(folder))
    (folder / "run.yaml").write_text(TINY_YAML.format(root=folder))
    trainer = trainer_of(
        folder,
        f"Global.iter_per_epoch={steps}",
        "Global.epochs=1",
        "Global.print_batch_step=10",
        "Global.eval_during_train=False",
        "Optimizer.lr.warmup_epoch=0",
        "Optimizer.lr.learning_rate=0.001",
        f"DataLoader.Train.loader.num_workers={num_workers}",
    )
    record, move = Record(), trainer._iteration

    def watched(epoch, index, batch):
        move(epoch, index, batch)
        hook(batch)
        if index % every == 0:
            record.take(index)

    trainer._iteration = watched
    trainer.run()
    return record.result(bound)


def broken_images(seed=0, number=64):
    """Yield JPEG files that are cut, or have bytes that are not theirs."""
    rng = np.random.default_rng(seed)
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(file, "JPEG")
    whole = file.getvalue()
    for place in range(number):
        data = bytearray(whole[: rng.integers(1, len(whole))] if place % 2 else whole)
        for at in rng.integers(0, len(data), 8):
            data[at] = rng.integers(256)
        yield bytes(data)


def decode(images, *, hook=lambda image: None):
    """Decode so many broken images, and count those that are refused."""
    from lookalike.data.decode import decode_image
    from lookalike.errors import LookalikeError

    files, record, refused = list(broken_images()), Record(), 0
    for number in range(images):
        try:
            hook(decode_image(files[number % len(files)]))
        except LookalikeError:
            refused += 1
        if number % 50 == 0:
            record.take(number)
    return {**record.result(MOST_BYTES_PER_IMAGE), "refused": refused}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--only", choices=["decode", "workers 0", "workers 2"])
    parser.add_argument("--out", type=Path, default=Path("build/soak/flat.json"))
    chosen = parser.parse_args()
    parts = {
        "decode": lambda folder: decode(chosen.images),
        "workers 0": lambda folder: train(folder, steps=chosen.steps),
        "workers 2": lambda folder: train(folder, steps=chosen.steps, num_workers=2),
    }
    found = json.loads(chosen.out.read_text()) if chosen.only and chosen.out.exists() else {}
    for name, part in parts.items():
        if chosen.only in (None, name):
            start = time.monotonic()
            with tempfile.TemporaryDirectory() as folder:
                found[name] = part(Path(folder))
            found[name]["seconds"] = round(time.monotonic() - start, 1)
            print(name, json.dumps(found[name]), flush=True)
            gc.collect()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if all(result["flat"] for result in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
