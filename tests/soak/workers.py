"""Data workers killed at random moments: how soon it is told, and whether anything is left.

``python -m tests.soak.workers`` writes build/soak/workers.json, and fails where a kill is not told
within ten seconds with the worker's number.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from lookalike.data import EndlessBatches, SequenceSampler
from lookalike.errors import SetupError
from lookalike.types import Sample

LIMIT = 10.0
SIGNALS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS)


class Images:
    """Images that take two milliseconds each."""

    labels, cameras, paths = [0, 1] * 32, None, [f"{i:02d}.jpg" for i in range(64)]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        time.sleep(0.002)
        return Sample(torch.zeros(3, 32, 32), 0, -1, index)


def kill(number, chance, num_workers=2):
    """Kill a worker while batches are taken, some slowly, and return seconds and message."""
    stream = EndlessBatches(
        Images(), SequenceSampler(Images.labels, batch_size=8), num_workers=num_workers
    ).start()
    next(stream)
    end = time.monotonic() + chance.uniform(0.0, 0.3)
    while time.monotonic() < end:
        next(stream)
        time.sleep(chance.choice((0.0, 0.02)))
    victim = chance.choice(multiprocessing.active_children())
    os.kill(victim.pid, SIGNALS[number % len(SIGNALS)])
    start = time.monotonic()
    try:
        while time.monotonic() - start < 3 * LIMIT:
            next(stream)
        message = ""
    except SetupError as error:
        message = str(error)
    return time.monotonic() - start, message


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("build/soak/workers.json"))
    chosen = parser.parse_args()
    chance, seconds, told, named, left = random.Random(chosen.seed), [], 0, 0, 0
    for number in range(chosen.kills):
        took, message = kill(number, chance)
        seconds.append(took)
        told += "data worker " in message and f"was killed by {SIGNALS[number % 3].name}" in message
        named += ".jpg" in message
        left += len(multiprocessing.active_children())
    found = {
        "kills": chosen.kills,
        "told": told,
        "while_reading_an_image": named,
        "workers_left": left,
        "slowest_seconds": round(max(seconds), 2),
        "median_seconds": round(sorted(seconds)[len(seconds) // 2], 3),
    }
    print(json.dumps(found))
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if told == chosen.kills and not left and max(seconds) < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
