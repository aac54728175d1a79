"""Time exact retrieval metrics beside the bare matrix product and the peers, in one run.

``make bench-retrieval``, or ``python -m benchmarks.retrieval`` from the root of the repository.
Every run of a system is a process of its own; the systems take turns. Writes
``benchmarks/retrieval_<date>.md`` and ``.png``, and the topic's rows of ``benchmarks/latest.json``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.conformance.environments import (
    ROOT,
    add_arguments,
    interpreters,
    machine,
    run_module,
    wait_until_quiet,
)
from benchmarks.conformance.speed import embeddings, report
from benchmarks.conformance.systems import FILES
from benchmarks.speed.rows import save

SUBSETS = {
    "fast_reid": 1024,
    "pytorch_metric_learning": 512,
    "open_metric_learning": 2048,
    "paddleclas_procedure": 128,
    "torchmetrics": 64,
    "scikit_learn": 64,
}
"""Queries that the slow ones are given: their work grows linearly with the queries.

open-metric-learning works in batches of thousands and takes longer for each query the more there
are, so it gets as many as fit into 8 GB.
"""
Run = dict[str, Any]


def parse() -> argparse.Namespace:
    """Read the sizes; the defaults are those of the goal."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retrieval", description=__doc__)
    add_arguments(parser)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--gallery", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=512, help="numbers in an embedding")
    parser.add_argument("--classes", type=int, default=5_000)
    parser.add_argument("--mapped", type=int, default=1_000_000, help="items of the mapped gallery")
    parser.add_argument("--mapped-queries", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--quiet", type=float, default=60.0, help="seconds to wait at most for an idle machine"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--systems", nargs="*", default=list(FILES), help="peers to run")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks")
    parser.add_argument("--work", type=Path, help="where the embeddings go; temporary by default")
    return parser.parse_args()


def one_run(interpreter: str, job: dict[str, Any], threads: int) -> Run:
    """Run a job in a process; the result has ``error`` if there is none."""
    with tempfile.TemporaryDirectory() as folder:
        asked, answer = Path(folder) / "job.json", Path(folder) / "result.json"
        asked.write_text(json.dumps(job))
        done = run_module(
            interpreter, "benchmarks.conformance.speed.worker", [str(asked), str(answer)], threads
        )
        if answer.exists():
            return dict(json.loads(answer.read_text()))
        return {"error": (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]}


def compare(arguments: argparse.Namespace, folder: Path) -> tuple[list[report.Line], list[str]]:
    """Let the systems take turns; return a line of each and what could not be run."""
    found = interpreters(arguments)
    systems = ["matrix product", "ranks", *arguments.systems]
    runs: dict[str, list[Run]] = {system: [] for system in systems}
    subsets = {name: min(number, arguments.queries) for name, number in SUBSETS.items()}
    missing: dict[str, str] = {}
    for number in range(arguments.rounds):
        for system in systems:
            interpreter = found[FILES.get(system, "own")]
            if interpreter is None:
                missing[system] = f"{system}: not installed"
                continue
            if system in missing:
                continue
            queries = subsets.get(system, arguments.queries)
            job = {"system": system, "folder": str(folder), "queries": queries}
            job["subsets"] = sorted(set(subsets.values()))
            wait_until_quiet(arguments.quiet)
            run = one_run(interpreter, job, arguments.threads)
            if "error" in run:
                missing[system] = f"{system}: {run['error']}"
                continue
            runs[system].append(run)
            print(
                f"round {number + 1}  {system:24} {run['seconds']:8.2f} s for {queries} queries, "
                f"cpu {run['cpu_seconds']:.2f}, others {run['others']:.2f} cores, "
                f"load {os.getloadavg()[0]:.2f}",
                flush=True,
            )
    right = runs["ranks"][0]["values"] if runs["ranks"] else {}
    lines = [
        report.line(system, done, subsets.get(system, arguments.queries), arguments.queries, right)
        for system, done in runs.items()
        if done
    ]
    return lines, list(missing.values())


def grow(arguments: argparse.Namespace, folder: Path) -> tuple[list[Run], float]:
    """Time ours from a mapped gallery of five sizes; return the points and the peak memory."""
    sizes = [arguments.mapped // part for part in (16, 8, 4, 2, 1)]
    job = {"system": "growth", "folder": str(folder), "sizes": sizes}
    found = one_run(interpreters(arguments)["own"] or "", job, arguments.threads)
    if "error" in found:
        raise SystemExit(found["error"])
    return found["points"], found["peak_mb"]


def text(
    arguments: argparse.Namespace,
    lines: list[report.Line],
    missing: list[str],
    points: list[Run],
    today: str,
    load: str,
) -> str:
    """Return the dated report."""
    slope, straight, power = report.fit(points)
    absent = "".join(f"\nNot run: {one}." for one in missing)
    return f"""# Speed of exact retrieval metrics

{today}. {machine()}; {arguments.threads} threads. {load} Made by `make bench-retrieval`.

Recall@1, Recall@5, mAP and mINP together (of a peer, those that it has), float32, D =
{arguments.size}, {arguments.queries:,} queries x {arguments.gallery:,} items of
{arguments.classes:,} power-law classes (`benchmarks/conformance/speed/embeddings.py`). Each run is
a process of its own; {arguments.rounds} rounds in which the systems take turns; medians. A peer
that was given some of the queries works query by query: its times are scaled to all. The matrix
product is the fastest of three shapes. "Others' cores" is what other processes used meanwhile: runs
with more than {report.QUIET} are left out where there are quiet ones; "quiet runs" says how many
there were. Values are compared over the same queries; a difference above 1e-6 is printed bold, and
the conformance report tells what is behind it. "PaddleClas (procedure)"
is our own transcription of its documented evaluation on paddle tensors; "Lookalike" is
`rank_relevant` with the metrics, "with intervals" is `evaluate_retrieval`.{absent}

{report.table(lines)}

## Growth with the gallery

{arguments.mapped_queries} queries, the gallery mapped from a file of {arguments.mapped:,} x
{arguments.size}; medians of three runs. {slope:.2f} s for each million items; R squared of the
straight line {straight:.4f}, exponent {power:.2f}. Private memory leaves out the pages of the
file; it rises to what `memory` allows (1 GB by default), since products are kept until the
thresholds are known.

{report.growth_table(points)}

![Seconds over items](retrieval_{today}.png)
"""


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Write the data, run everything, write the results."""
    before = os.getloadavg()
    sizes = (arguments.queries, arguments.gallery, arguments.size)
    embeddings.write(folder / "table", *sizes, num_classes=arguments.classes, seed=0)
    lines, missing = compare(arguments, folder / "table")
    embeddings.write(
        folder / "mapped",
        arguments.mapped_queries,
        arguments.mapped,
        arguments.size,
        num_classes=min(10 * arguments.classes, arguments.mapped // 16),
        seed=1,
    )
    points, peak = grow(arguments, folder / "mapped")
    load = f"Load average {before[0]:.2f} before, {os.getloadavg()[0]:.2f} at the end."
    today = datetime.date.today().isoformat()
    report.draw(
        points,
        arguments.out / f"retrieval_{today}.png",
        f"{arguments.mapped_queries} queries, D = {arguments.size}",
    )
    written = text(arguments, lines, missing, points, today, load)
    (arguments.out / f"retrieval_{today}.md").write_text(written)
    rows = report.rows(lines, f"{sizes[0]} x {sizes[1]} x {sizes[2]}")
    case = f"{arguments.mapped_queries} x {{}} x {arguments.size} mapped"
    for point in points:
        row = {"topic": "retrieval", "case": case.format(point["size"]), "system": "Lookalike"}
        row |= {"value": point["seconds"], "unit": "s", "cpu_seconds": point["cpu_seconds"]}
        rows.append(row | {"peak_mb": peak})
    save(rows, arguments.out / "latest.json")
    print(report.table(lines), report.growth_table(points), sep="\n\n")


def main() -> None:
    """Measure in the given folder, or in a temporary one."""
    arguments = parse()
    if arguments.work:
        measure(arguments, arguments.work)
    else:
        with tempfile.TemporaryDirectory() as folder:
            measure(arguments, Path(folder))


if __name__ == "__main__":
    main()
