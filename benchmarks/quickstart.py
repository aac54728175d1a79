"""Train the quick start with several seeds and write the dated report.

``python benchmarks/quickstart.py`` takes about five minutes per seed on two cores.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
CONFIG = "configs/quickstart.yaml"
OUT = ROOT / "output" / "benchmarks" / "quickstart"
METRICS = ("recall1", "recall5", "mAP")

# the search on a part of the training classes, from which the recipe was chosen
SEARCH = Path(__file__).with_name("quickstart_search.md")


def lookalike(*arguments: str) -> float:
    """Run a command; return its seconds."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "lookalike", *arguments]
    subprocess.run(command, cwd=ROOT, check=True)
    return time.perf_counter() - start


def train_and_evaluate(seed: int, folder: Path) -> None:
    """Train one seed and leave its measurements in its folder."""
    options = ["-c", CONFIG, "-o", f"Global.output_dir={folder}", "-o", f"Global.seed={seed}"]
    seconds = lookalike("train", *options, "--overwrite")
    (folder / "seconds.json").write_text(json.dumps(seconds))
    lookalike("eval", *options, "--model", str(folder), "--json", str(folder / "trained.json"))
    zero = ["-o", "Global.retrieval_feature_from=backbone", "-o", "Global.pretrained_model=False"]
    lookalike("eval", *options, *zero, "--json", str(folder / "zero.json"))


def measure(seed: int, reuse: bool) -> dict[str, Any]:
    """Return the metrics of one seed's three rows and the seconds its training took."""
    folder = OUT / f"seed{seed}"
    if not (reuse and (folder / "zero.json").exists()):
        train_and_evaluate(seed, folder)
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    start = next(i for i, r in enumerate(records) if r["kind"] == "eval" and r.get("epoch") == 0)
    head = {**records[start], "intervals": records[start - 1]}
    seconds = json.loads((folder / "seconds.json").read_text())
    return {
        "zero-shot backbone": json.loads((folder / "zero.json").read_text()),
        "linear neck on frozen features": head,
        "trained end to end": json.loads((folder / "trained.json").read_text()),
        "seconds": seconds,
    }


def report(runs: dict[int, dict[str, Any]]) -> str:
    """Return the page."""
    rows = [key for key in next(iter(runs.values())) if key != "seconds"]
    lines = [
        "# Quick start: three seeds",
        "",
        f"{datetime.date.today()}, {platform.machine()} with {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, torch {metadata.version('torch')}, "
        f"torchvision {metadata.version('torchvision')}, timm {metadata.version('timm')}. "
        "Made by `python benchmarks/quickstart.py`.",
        "",
        "529 held-out emoji, three drawings each: 1,587 queries, each with two matches among the "
        "1,586 other drawings. Percent; intervals are bootstrap over identities (95 %).",
        "",
        "| seed | row | Recall@1 | interval | Recall@5 | mAP | interval |",
        "|---|---|---|---|---|---|---|",
    ]
    for seed, run in runs.items():
        for row in rows:
            lines.append(f"| {seed} | {row} | {_cells(run[row])} |")
    gains = [
        100 * (run["trained end to end"]["recall1"] - run["zero-shot backbone"]["recall1"])
        for run in runs.values()
    ]
    trained = [100 * run["trained end to end"]["recall1"] for run in runs.values()]
    maps = [100 * run["trained end to end"]["mAP"] for run in runs.values()]
    spread = statistics.stdev(trained) if len(trained) > 1 else 0.0
    lines += [
        "",
        f"Trained, mean of {len(runs)} seeds: Recall@1 {statistics.mean(trained):.1f} (standard "
        f"deviation {spread:.1f}), mAP {statistics.mean(maps):.1f}. Gain over zero-shot: "
        f"{min(gains):.1f} to {max(gains):.1f} points of Recall@1.",
        "",
        "Training took "
        + ", ".join(f"{run['seconds']:.0f}" for run in runs.values())
        + " seconds of wall time, evaluations included; the machine was shared.",
        "",
        SEARCH.read_text(encoding="utf-8"),
    ]
    return "\n".join(lines)


def _cells(values: dict[str, Any]) -> str:
    cells = []
    for name in METRICS:
        cells.append(f"{100 * values[name]:.2f}")
        if name != "recall5":
            bounds = values.get("intervals", {}).get(name)
            cells.append(f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f}" if bounds else "")
    return " | ".join(cells)


def main() -> None:
    """Run the seeds and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--reuse", action="store_true", help="take runs that are there already")
    arguments = parser.parse_args()
    runs = {seed: measure(seed, arguments.reuse) for seed in arguments.seeds}
    page = Path(__file__).with_name("quickstart.md")
    page.write_text(report(runs), encoding="utf-8")
    print(f"Wrote {page.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
