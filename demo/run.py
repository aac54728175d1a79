"""The demo: prepare the data, measure, train, measure again, show what changed.

It runs the ordinary commands, prints each before it runs it, and writes ``summary.json``,
``comparison.png`` and ``neighbours.png`` into ``output/demo``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from prepare import main as prepare_data
from rich.console import Console
from rich.table import Table

CONFIG = "configs/quickstart.yaml"
IMAGES = Path("data/emoji/images")
ROWS = {
    "zero_shot": "zero-shot backbone",
    "head": "linear neck on frozen features",
    "trained": "trained end to end",
}


def run(*arguments: str) -> None:
    """Run a lookalike command in the open; its failure is ours."""
    print(f"\n$ lookalike {' '.join(arguments)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "lookalike", *arguments], check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


def entry(values: dict[str, Any], intervals: dict[str, Any]) -> dict[str, Any]:
    """Return what summary.json says of one row."""
    return {
        "recall1": values["recall1"],
        "mAP": values["mAP"],
        "recall1_interval": intervals["recall1"],
        "mAP_interval": intervals["mAP"],
    }


def from_json(path: Path) -> dict[str, Any]:
    """Read what ``lookalike eval --json`` wrote."""
    result = json.loads(path.read_text())
    return entry(result, result["intervals"])


def before_training(folder: Path) -> dict[str, Any]:
    """Read the evaluation that training made before its first step."""
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    starts = [i for i, record in enumerate(records) if record.get("epoch") == 0]
    return entry(records[starts[-1]], records[starts[-1] - 1])


def show(summary: dict[str, dict[str, Any]], console: Console) -> None:
    """Print the comparison."""
    table = Table(title="Held-out emoji: find the same emoji drawn by another hand")
    for column in ("percent (95 % interval)", "Recall@1", "mAP"):
        table.add_column(column, no_wrap=True)
    for key, title in ROWS.items():
        row = summary[key]
        cells = [title]
        for name in ("recall1", "mAP"):
            low, high = row[f"{name}_interval"]
            cells.append(f"{100 * row[name]:.1f} ({100 * low:.1f}-{100 * high:.1f})")
        table.add_row(*cells)
    console.print(table)
    gain = 100 * (summary["trained"]["recall1"] - summary["zero_shot"]["recall1"])
    console.print(f"Training gained {gain:.1f} points of Recall@1 over zero-shot.")


def main() -> None:
    """Run the demo from the checkout's root."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--override", action="append", default=[], help="passed on")
    parser.add_argument("--out", type=Path, default=Path("output/demo"), help="where to write")
    arguments = parser.parse_args()
    output: Path = arguments.out
    options = [part for text in arguments.override for part in ("-o", text)]
    console = Console()
    sys.argv = ["prepare.py", "--out", "data/emoji"]
    prepare_data()
    output.mkdir(parents=True, exist_ok=True)
    common = ["-c", CONFIG, *options, "-o", f"Global.output_dir={output / 'run'}"]
    # the run folder of an earlier demo may hold a trained model
    zero = ["-o", "Global.retrieval_feature_from=backbone", "-o", "Global.pretrained_model=False"]
    best = ["--model", str(output / "run")]
    for_zero = ["--json", str(output / "zero_shot.json"), "--tables", str(output / "before")]
    run("eval", *common, *zero, *for_zero)
    run("train", *common, "--overwrite")  # that of an earlier demo
    for_best = ["--json", str(output / "trained.json"), "--tables", str(output / "after")]
    run("eval", *common, *best, *for_best)
    summary = {
        "zero_shot": from_json(output / "zero_shot.json"),
        "head": before_training(output / "run"),
        "trained": from_json(output / "trained.json"),
    }
    (output / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")

    from pictures import draw_comparison, draw_neighbours

    draw_comparison(summary, ROWS, output / "run" / "metrics.jsonl", output / "comparison.png")
    draw_neighbours(output / "before", output / "after", IMAGES, output / "neighbours.png")
    show(summary, console)
    console.print(
        f"Numbers: {output}/summary.json   Pictures: {output}/comparison.png, "
        f"{output}/neighbours.png   Model: {output}/run/best_model"
    )


if __name__ == "__main__":
    main()
