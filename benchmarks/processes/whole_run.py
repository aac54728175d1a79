"""Memory of whole runs with a million classes: training, saving, and going on."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.processes.memory import CHUNK, WIDTH, give_back_at_once, resident
from lookalike.cli.train import run_training
from tests.conftest import TINY_YAML, make_images, write_list
from tests.processes.process_group import run

LABELS, EACH, STEPS = 16, 8, 3


def folder_with(root: Path, classes: int) -> Path:
    """Write images of some of so many classes, and the YAML that trains on them."""
    rows = [(name, label * (classes // LABELS), view)
            for name, label, view in make_images(root, LABELS)]  # fmt: skip
    write_list(root / "train.txt", rows)
    text = TINY_YAML.format(root=root).replace("class_num: 6", f"class_num: {classes}")
    text = text.replace("embedding_size: 16", f"embedding_size: {WIDTH}")
    text = text.replace("out_channels: 16", f"out_channels: {WIDTH}")
    (root / "run.yaml").write_text(text)
    return root


def part(root: str, epochs: int) -> dict[str, float]:
    """Train to the end of an epoch, saving; return the most bytes this process has had."""
    give_back_at_once()
    Path("/proc/self/clear_refs").write_text("5")
    changes = [
        f"Global.epochs={epochs}",
        f"+Global.iter_per_epoch={STEPS}",
        "+Global.eval_during_train=False",
        "+Arch.Head.sharded=True",
        f"+Arch.Head.chunk_size={CHUNK}",
        f"DataLoader.Train.sampler.batch_size={EACH}",
    ]
    start = time.perf_counter()
    run_training(
        f"{root}/run.yaml",
        changes,
        resume=epochs > 1,
        allow_import=(),
        allow_missing=(),
        strict_device=False,
    )
    return {"bytes": resident("VmHWM"), "seconds": time.perf_counter() - start}


def measure(classes: int, many: int) -> dict[str, dict[str, float]]:
    """Return the largest process of a run from the start, and of one that goes on."""
    found = {}
    with tempfile.TemporaryDirectory() as place:
        root = folder_with(Path(place), classes)
        for what, epochs in (("starts", 1), ("goes on", 2)):
            parts = run(part, many, str(root), epochs, joined=False)
            found[what] = {key: max(one[key] for one in parts) for key in parts[0]}
            sizes = [one.stat().st_size for one in (root / "output" / "latest").iterdir()]
            found[what] |= {"written": sum(sizes), "file": max(sizes)}
    return found
