"""Run every benchmark that takes minutes and write ``benchmarks/latest.json``.

Rows: topic, case, system, value, unit, CPU seconds, peak memory. Only ratios within one run mean
anything. ``benchmarks/quickstart.py`` takes longer and is run by itself.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
Row = dict[str, Any]


def process(topic: str, case: str, system: str, command: list[str], runs: int = 5) -> Row:
    """Time a whole process; the median of several runs."""
    seconds, cpu = [], []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {
        "topic": topic,
        "case": case,
        "system": system,
        "value": statistics.median(seconds),
        "unit": "s",
        "cpu_seconds": statistics.median(cpu),
        "peak_mb": peak,
    }


def startup() -> list[Row]:
    """Measure how long it takes until something is on the screen."""
    python = sys.executable
    return [
        process("startup", "bare", "python", [python, "-c", "pass"]),
        process("startup", "--help", "lookalike", [python, "-m", "lookalike", "--help"]),
        process("startup", "import", "torch", [python, "-c", "import torch"]),
    ]


def retrieval(queries: int = 2000, gallery: int = 20000, size: int = 512) -> list[Row]:
    """Measure the exact metrics beside the bare matrix product on the same embeddings."""
    import torch

    from lookalike.retrieval import MeanAveragePrecision, RecallAtK, rank_relevant

    torch.manual_seed(0)
    labels = torch.randint(400, (queries + gallery,))
    centres = torch.randn(400, size)
    vectors = torch.nn.functional.normalize(centres[labels] + 3 * torch.randn(len(labels), size))
    query, rest = vectors[:queries], vectors[queries:]

    def product() -> None:
        for block in query.split(256):
            block @ rest.T

    def metrics() -> None:
        ranks = rank_relevant(query, rest, labels[:queries], labels[queries:])
        RecallAtK([1, 5]).per_query(ranks)
        MeanAveragePrecision().per_query(ranks)

    rows = []
    for system, work in (("matrix product", product), ("lookalike", metrics)):
        work()
        times = []
        for _ in range(3):
            start, cpu = time.perf_counter(), time.process_time()
            work()
            times.append((time.perf_counter() - start, time.process_time() - cpu))
        seconds, cpu_seconds = sorted(times)[1]
        rows.append(
            {
                "topic": "retrieval",
                "case": f"{queries} x {gallery} x {size}",
                "system": system,
                "value": seconds,
                "unit": "s",
                "cpu_seconds": cpu_seconds,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    return rows


def main() -> None:
    """Run all and print a table."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    rows = [*startup(), *retrieval()]
    (ROOT / "benchmarks" / "latest.json").write_text(json.dumps(rows, indent=1) + "\n")
    for row in rows:
        print(
            f"{row['topic']:10} {row['case']:20} {row['system']:16} {row['value']:8.3f} "
            f"{row['unit']}  cpu {row['cpu_seconds']:.3f}  peak {row['peak_mb']:.0f} MB"
        )


if __name__ == "__main__":
    main()
