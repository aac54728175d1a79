"""Ranks killed at random moments and at chosen points, and runs that go on in another number.

``PYTHONPATH=tests:tests/processes python -m tests.soak.ranks`` writes build/soak/ranks.json. Every
kill must end in the weights of the run that nobody disturbed, bit for bit: at a random moment, or
aimed at an evaluation, a save, or a write, sync, rename, link or removal of a checkpoint. Without a
restart left, the launcher must have ended all within ``LONGEST`` seconds of the kill; and of a rank
frozen by SIGSTOP, which must be named, as many after its timeout. In every move
from A to B processes the B must have, put together, what the A have saved, bit for bit, and end
where one process alone ends. ``--kills 5 --moves 0 --first 10`` runs a piece; pieces are added to
the file.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from math import lcm
from pathlib import Path

from conftest import TINY_YAML, make_images, write_list
from launched import Launched, command_of
from process_group import run
from test_training import SHARDED, largest_difference, losses, same, same_state, train, train_in

from lookalike.data.transforms.kernels import compiled
from lookalike.faults import watching
from lookalike.training import load_checkpoint

LIMIT = 1e-3
# PyTorch's launcher gives the others 30 seconds to end before it kills them
LONGEST = 40.0
# after which a process that is frozen is named
PATIENCE = 5
AIMS = re.compile(r"place\.(evaluating|saving)|checkpoint\..*")
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


def begun(root, name, restarts, *overrides, **environment):
    """Start a run that is to be killed."""
    changes = [*KILLED, *overrides, f"Global.output_dir={root / name}"]
    command = command_of(root, *changes, options=["--restarts", restarts] if restarts else [])
    return Launched(command, root, **environment)


def outcome(started):
    """Return how a run has ended."""
    code, text = started.end(240.0)
    return {
        "started_again": "started again" in text,
        "exit_code": code,
        "traceback": "Traceback" in text,
        "seconds": round(time.monotonic() - started.started, 1),
    }


def kill(root, name, chance, whole):
    """Kill a rank at a random moment of a run with a restart left; return what came of it."""
    started = begun(root, name, 1)
    done, rank, start, seconds = root / name / "metrics.jsonl", chance.randrange(2), None, whole
    # starting takes longest: three of four are killed later, in steps, evaluations and saves
    if chance.random() < 0.75:
        while not done.is_file() and started.process.poll() is None:
            time.sleep(0.01)
        start, seconds = time.monotonic(), seconds / 6
    moment = chance.uniform(0.0, seconds)
    while time.monotonic() - (start or started.started) < moment and started.process.poll() is None:
        time.sleep(0.01)
    children = started.children() if started.process.poll() is None else []
    steps = done.read_text().count('"train"') if done.is_file() else 0
    # a launcher that has not started its processes yet, or has none any more, has no rank to kill
    if len(children) == 2:
        os.kill(children[rank], signal.SIGKILL)
    about = {"moment": round(moment, 2), "rank": rank, "steps_before": steps}
    return {**about, "killed": len(children) == 2, **outcome(started)}


def points(root):
    """Return how often each process passes each point in a run that nobody disturbs."""

    def counted(root):
        passed = []
        with watching(passed.append):
            train(str(root / "run.yaml"), [*KILLED, f"Global.output_dir={root / 'counted'}"])
        return Counter(filter(AIMS.fullmatch, passed))

    first, second = run(counted, 2, root, joined=False)
    return {(rank, *one) for rank, found in enumerate((first, second)) for one in found.items()}


def aim(root, name, chance, passed):
    """Let a rank kill itself at one of its passings of a point; return what came of it."""
    rank, point, often = chance.choice(sorted(passed))
    nth = chance.randint(1, often)
    started = begun(root, name, 1, **{f"FAULT_OF_{rank}": f"{point}:{nth}:kill"})
    found = outcome(started)
    return {"rank": rank, "at": f"{point}:{nth}", "killed": found["started_again"], **found}


def stop(root, name, chance, whole, number=signal.SIGKILL, changes=()):
    """End a rank with no restart left; return how long the launcher needs to end the other."""
    started = begun(root, name, 0, *changes)
    done, rank = root / name / "metrics.jsonl", chance.randrange(2)
    while not done.is_file() and started.process.poll() is None:
        time.sleep(0.01)
    time.sleep(chance.uniform(0.0, whole / 6))
    children = started.children() if started.process.poll() is None else []
    if len(children) == 2:
        os.kill(children[rank], number)
    since = time.monotonic()
    with suppress(subprocess.TimeoutExpired):
        started.process.wait(PATIENCE + LONGEST)
    ended = round(time.monotonic() - since, 2)
    for pid in children if started.process.poll() is None else []:
        os.kill(pid, signal.SIGKILL)
    about = {"rank": rank, "killed": len(children) == 2, "ended_after": ended, **outcome(started)}
    return {**about, "named": f"process {rank} on host" in started.printed()}


# a run that is long enough not to be over meanwhile
LASTING = [f"+Global.process_timeout={PATIENCE}", "Global.epochs=50"]
freeze = partial(stop, number=signal.SIGSTOP, changes=LASTING)


def kills(make, number, seed, prepare=None):
    """Return the outcome of each kill, beside a run that nobody disturbed."""
    with tempfile.TemporaryDirectory() as place:
        root = folder_of(Path(place), 12, 4)
        whole = begun(root, "whole", 0)
        code, text = whole.end(240.0)
        assert code == 0, text
        seconds = time.monotonic() - whole.started
        given = seconds if prepare is None else prepare(root)
        for index in range(number):
            one = {"seed": seed + index}
            one |= make(root, f"killed{index}", random.Random(seed + index), given)
            one["equal"] = one["exit_code"] == 0 and equal(root / f"killed{index}", root / "whole")
            print(json.dumps(one), flush=True)
            yield one


def equal(one, other):
    """Tell whether two runs have ended in the same bits: weights, their average, momentum."""
    one, other = load_checkpoint(one), load_checkpoint(other)
    # what differs is a difference of nothing, not of rounding
    return largest_difference(one, other) == 0.0 and same(one.state, other.state)


def moves(number, seed):
    """Train in A processes, go on in B; return how far the end is from one process's."""
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
        print(json.dumps(one), flush=True)
        yield one


def average_difference(one, other):
    """Return the largest difference of the averaged weights."""
    one, other = (x.state["update"]["averaged"] for x in (one, other))
    floats = [key for key in other if other[key].is_floating_point()]
    return max(float((one[key].double() - other[key].double()).abs().max()) for key in floats)


def good(found):
    """Tell whether everything has ended as it must, and print the figures."""
    kept = {what: list(pieces.values()) for what, pieces in found.items()}
    tries = ("kills", "aims", "stops", "freezes")
    hit = {what: [one for one in kept[what] if one["killed"]] for what in tries}
    far = [max(one["loss"], one["average"]) for one in kept["moves"]]
    ends = [one["ended_after"] for one in hit["stops"]]
    after = [one["ended_after"] - PATIENCE for one in hit["freezes"]]
    figures = {what: len(pieces) for what, pieces in hit.items()}
    figures |= {
        f"{what}_equal": sum(one["equal"] for one in hit[what]) for what in ("kills", "aims")
    }
    figures |= {
        "aimed_at": dict(Counter(one["at"].partition(":")[0] for one in hit["aims"])),
        "ended_after_at_most": max(ends, default=None),
        "ended_after_the_timeout_at_most": max(after, default=None),
        "moves": len(far),
        "states_equal_bit_for_bit": sum(one["state_equal"] for one in kept["moves"]),
        "moves_within_1e-3": sum(one < LIMIT for one in far),
        "largest_difference_of_a_move": max(far, default=None),
    }
    print(json.dumps(figures))
    exact = [one["equal"] for what in ("kills", "aims") for one in kept[what]]
    exact += [one["state_equal"] for one in kept["moves"]]
    alone = [*hit["stops"], *hit["freezes"]]
    told = all(one["exit_code"] == 8 and not one["traceback"] for one in alone)
    told = told and all(one["named"] for one in hit["freezes"])
    near = all(difference < LIMIT for difference in far)
    return all(exact) and told and near and all(seconds < LONGEST for seconds in ends + after)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    makers = {
        "kills": partial(kills, kill),
        "aims": partial(kills, aim, prepare=points),
        "stops": partial(kills, stop),
        "freezes": partial(kills, freeze),
        "moves": moves,
    }
    for what in makers:
        parser.add_argument(f"--{what}", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="of the pieces; seeds follow it")
    parser.add_argument("--to", type=Path, default=Path("build/soak/ranks.json"))
    asked = parser.parse_args()
    found = {what: {} for what in makers}
    asked.to.parent.mkdir(parents=True, exist_ok=True)
    if asked.first and asked.to.is_file():
        found |= json.loads(asked.to.read_text())
    for what, make in makers.items():
        number = vars(asked)[what]
        for one in make(number=number, seed=1000 + asked.first) if number else ():
            found[what][str(one["seed"])] = one
            asked.to.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if good(found) else 1


if __name__ == "__main__":
    sys.exit(main())
