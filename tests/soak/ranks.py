"""Ranks killed at random moments, and runs that go on in another number of processes.

``PYTHONPATH=tests:tests/processes python -m tests.soak.ranks`` writes build/soak/ranks.json. Every
kill must end in the weights of the run that nobody disturbed, bit for bit. In every move from A to
B processes the B must have, put together, what the A have saved, bit for bit, and end where one
process alone ends. ``--kills 5 --moves 0 --first 10`` runs a piece; pieces are added to the file.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from math import lcm
from pathlib import Path

from conftest import TINY_YAML, make_images, write_list
from launched import Launched, command_of
from test_training import SHARDED, largest_difference, losses, same, same_state, train_in

from lookalike.data.transforms.kernels import compiled
from lookalike.training import load_checkpoint

LIMIT = 1e-3
# sharded head, momentum, an average of the weights; saved in every step
KILLED = [
    "Global.epochs=2",
    "+Global.iter_per_epoch=6",
    "+Global.save_steps=1",
    "+EMA.decay=0.9",
    SHARDED,
]
# rounding grows tenfold with each step of this small net, so the steps are few and small
RATE = "Optimizer.lr={name: Constant, learning_rate: 0.0001}"


def folder_of(root, labels, per_label):
    root.mkdir(parents=True, exist_ok=True)
    write_list(root / "train.txt", make_images(root, labels, per_label))
    text = TINY_YAML.format(root=root).replace("class_num: 6", f"class_num: {labels}")
    (root / "run.yaml").write_text(text)
    return root


def kill(root, name, chance, seconds):
    """Kill a rank at a random moment of a run with a restart left; return what came of it."""
    output = root / name
    changes = [*KILLED, f"Global.output_dir={output}"]
    run = Launched(command_of(root, *changes, options=["--restarts", 1]), root)
    done, rank, start = output / "metrics.jsonl", chance.randrange(2), run.started
    # starting takes longest: three of four are killed later, in steps, evaluations and saves
    if chance.random() < 0.75:
        while not done.is_file() and run.process.poll() is None:
            time.sleep(0.01)
        start, seconds = time.monotonic(), seconds / 6
    moment = chance.uniform(0.0, seconds)
    while time.monotonic() - start < moment and run.process.poll() is None:
        time.sleep(0.01)
    children = run.children() if run.process.poll() is None else []
    steps = done.read_text().count('"train"') if done.is_file() else 0
    # a launcher that has not started its processes yet, or has none any more, has no rank to kill
    if len(children) == 2:
        os.kill(children[rank], signal.SIGKILL)
    code, text = run.end(240.0)
    return {
        "moment": round(moment, 2),
        "rank": rank,
        "steps_before": steps,
        "killed": len(children) == 2,
        "started_again": "started again" in text,
        "exit_code": code,
        "traceback": "Traceback" in text,
        "seconds": round(time.monotonic() - run.started, 1),
    }


def kills(number, seed):
    """Return the outcome of each kill, beside a run that nobody disturbed."""
    with tempfile.TemporaryDirectory() as place:
        root = folder_of(Path(place), 12, 4)
        whole = Launched(command_of(root, *KILLED, f"Global.output_dir={root / 'whole'}"), root)
        code, text = whole.end(240.0)
        assert code == 0, text
        seconds, found = time.monotonic() - whole.started, []
        for index in range(number):
            one = {"seed": seed + index}
            one |= kill(root, f"killed{index}", random.Random(seed + index), seconds)
            one["equal"] = one["exit_code"] == 0 and equal(root / f"killed{index}", root / "whole")
            found.append(one)
            print(json.dumps(one), flush=True)
        return found


def equal(one, other):
    """Tell whether two runs have ended in the same bits: weights, their average, momentum."""
    one, other = load_checkpoint(one), load_checkpoint(other)
    # what differs is a difference of nothing, not of rounding
    return largest_difference(one, other) == 0.0 and same(one.state, other.state)


def moves(number, seed):
    """Train in A processes, go on in B; return how far the end is from one process's."""
    found = []
    compiled()
    for index in range(number):
        chance = random.Random(seed + index)
        before = chance.randint(1, 8)
        after = chance.choice([n for n in range(1, 9) if n != before])
        batch = 2 * lcm(before, after)
        with tempfile.TemporaryDirectory() as place:
            root = folder_of(Path(place), max(12, batch // 2), 2)
            more = [
                RATE,
                "Global.iter_per_epoch=2",
                "+EMA.decay=0.9",
                "+Global.eval_during_train=False",
            ]
            train_in(before, root, "moved", SHARDED, *more, batch=batch)
            kept = same_state(root, "moved", after, SHARDED, *more, batch=batch)
            moved = train_in(
                after, root, "moved", SHARDED, *more, "Global.epochs=2", resume=True, batch=batch
            )
            alone = train_in(1, root, "alone", *more, "Global.epochs=2", batch=batch)
            pairs = zip(losses(root, "moved"), losses(root, "alone"), strict=True)
            one = {
                "seed": seed + index,
                "before": before,
                "after": after,
                "batch": batch,
                "state_equal": kept,
                "loss": max(abs(a - b) / abs(b) for a, b in pairs),
                # to the largest of each tensor, which is small itself for a bias; not judged
                "weights": largest_difference(moved, alone),
                "average": average_difference(moved, alone),
            }
        found.append(one)
        print(json.dumps(one), flush=True)
    return found


def average_difference(one, other):
    """Return the largest difference of the averaged weights."""
    one, other = (x.state["update"]["averaged"] for x in (one, other))
    floats = [key for key in other if other[key].is_floating_point()]
    return max(float((one[key].double() - other[key].double()).abs().max()) for key in floats)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--moves", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="of the pieces; seeds follow it")
    parser.add_argument("--to", type=Path, default=Path("build/soak/ranks.json"))
    asked = parser.parse_args()
    found = {"kills": {}, "moves": {}}
    if asked.first and asked.to.is_file():
        found = json.loads(asked.to.read_text())
    for what, make, number in (("kills", kills, asked.kills), ("moves", moves, asked.moves)):
        for one in make(number, 1000 + asked.first) if number else ():
            found[what][str(one["seed"])] = one
    hit = [one for one in found["kills"].values() if one["killed"]]
    far = [max(one["loss"], one["average"]) for one in found["moves"].values()]
    found["figures"] = {
        "kills": len(hit),
        "equal_bit_for_bit": sum(one["equal"] for one in hit),
        "moves": len(far),
        "states_equal_bit_for_bit": sum(one["state_equal"] for one in found["moves"].values()),
        "moves_within_1e-3": sum(one < LIMIT for one in far),
        "largest_difference_of_a_move": max(far, default=None),
    }
    asked.to.parent.mkdir(parents=True, exist_ok=True)
    asked.to.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found["figures"]))
    exact = [one["equal"] for one in found["kills"].values()]
    exact += [one["state_equal"] for one in found["moves"].values()]
    good = all(exact) and all(difference < LIMIT for difference in far)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
