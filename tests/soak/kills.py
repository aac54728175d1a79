"""A run that is killed again and again must end as the one that was left alone.

The run is a process of its own, forked from one that has imported everything. Two of three kills
come from outside at a random moment, the third one at a random fault point of a checkpoint write.
After each, every checkpoint that has its name is verified.
"""

import contextlib
import io
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

from conftest import TINY_YAML, make_images, write_list
from same_run import same

from lookalike.cli.guard import guarded
from lookalike.cli.train import run_training
from lookalike.faults import Fault, watching
from lookalike.training import load_checkpoint
from lookalike.training.intact import is_intact

RUN = ["Global.epochs=4", "Global.eval_interval=2", "Global.save_steps=1"]
RUN += ["Global.keep_checkpoints=2"]
NAMES = ("latest", "best_model", "epoch_3", "epoch_4")


SERIES, KILLS = 4, 50
COUNTED = ("kills", "in_a_write", "resumed", "unreadable", "runs", "differing", "failed")


def rows(seed):
    """Yield a row for each kill, and the result, of four series of fifty."""
    total = dict.fromkeys(COUNTED, 0)
    for one in range(seed, seed + SERIES):
        row = {}
        for row in series(one, KILLS):
            yield row if row.get("failed") is None else {"seed": one, "series": row}
        total = {name: total[name] + row[name] for name in COUNTED}
    yield {"seed": seed, **total}


def series(seed, kills, longest=None):
    """Yield a row for each kill, and the result.

    Args:
        seed: Of the moments.
        kills: How many.
        longest: Seconds until a kill from outside, at most; None is a run's own length.
    """
    root = Path(tempfile.mkdtemp(prefix="kills"))
    try:
        yield from _rows(root, random.Random(seed), seed, kills, longest)
    finally:
        shutil.rmtree(root)


def _rows(root, rng, seed, kills, longest):
    write_list(root / "train.txt", make_images(root))
    (root / "run.yaml").write_text(TINY_YAML.format(root=root))
    # here, so that the processes forked below have loaded and compiled everything
    with contextlib.redirect_stdout(io.StringIO()):
        _run(root, root / "straight")
    started = time.monotonic()
    assert _wait(_train(root, root / "again")) == 0, (root / "again.txt").read_text()
    longest = longest or time.monotonic() - started
    counts = {"kills": 0, "in_a_write": 0, "resumed": 0, "unreadable": 0, "runs": 0, "differing": 0}
    folder = root / "run"
    while counts["kills"] < kills or folder.exists():
        inside = counts["kills"] % 3 == 0
        fault = f"checkpoint.*:{rng.randint(1, 90)}:kill" if inside else None
        moment = None if inside or counts["kills"] >= kills else rng.uniform(0.0, longest)
        at = _iteration(folder)
        child = _train(root, folder, fault if counts["kills"] < kills else None)
        ended = _wait(child, moment)
        if ended == -signal.SIGKILL:
            broken = [p.name for p in _named(folder) if not is_intact(p)]
            counts["kills"] += 1
            counts["in_a_write"] += inside
            counts["resumed"] += at is not None
            counts["unreadable"] += len(broken)
            yield {
                "seed": seed, "kill": counts["kills"], "fault": fault, "moment": moment,
                "from": at, "to": _iteration(folder), "broken": broken,
            }  # fmt: skip
        else:
            counts["runs"] += 1
            equal = ended == 0 and all(same(root / "straight" / n, folder / n) for n in NAMES)
            counts["differing"] += not equal
            if not equal:
                yield {"ended": ended, "output": (root / "run.txt").read_text()[-4000:]}
            shutil.rmtree(folder, ignore_errors=True)
    yield {"seed": seed, **counts, "failed": counts["unreadable"] + counts["differing"]}


def _train(root, folder, fault=None):
    """Start or go on, in a process of its own; return its number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        child = os.fork()
    if child:
        return child
    code = 1
    try:
        with open(f"{folder}.txt", "a") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - the process ends below
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        with guarded(debug=True), watching(Fault(fault) if fault else lambda name: None):
            _run(root, folder)
        code = 0
    except BaseException:  # noqa: BLE001 - nothing may return into the forking process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(root, folder):
    overrides = [*RUN, f"Global.output_dir={folder}"]
    run_training(
        str(root / "run.yaml"), overrides, resume=True, or_start=True,
        allow_import=[], allow_missing=[], strict_device=False,
    )  # fmt: skip


def _wait(child, moment=None):
    """Wait for a process, and kill it at a moment; return its exit code."""
    if moment is not None:
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)  # not yet waited for, so it is still this process
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _named(folder):
    return [p for p in folder.glob("*") if p.is_dir() and not p.name.startswith(".")]


def _iteration(folder):
    """Return how far the newest checkpoint is, if there is any."""
    for name in ("latest", ".latest.previous"):
        if (folder / name).exists():
            return load_checkpoint(folder / name).state["iteration"]
    return None
