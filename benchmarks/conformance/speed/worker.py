"""One timed run of one system: ``python -m benchmarks.conformance.speed.worker JOB RESULT``.

``JOB`` is a JSON file: ``system``, ``folder``, ``queries`` (how many of the stored ones), and for
the growth of the gallery ``sizes``. The result has seconds, CPU seconds, peak memory and values.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.conformance.environments import busy_seconds
from benchmarks.conformance.problem import Problem
from benchmarks.conformance.speed.embeddings import Files
from benchmarks.conformance.systems import FILES, load

METRICS = ("recall@1", "recall@5", "mAP", "mINP")
Result = dict[str, Any]


def timed(work: Callable[[], Any]) -> tuple[Result, Any]:
    """Run once; tell seconds, CPU seconds, and how many cores others used meanwhile."""
    busy, cpu, start = busy_seconds(), time.process_time(), time.perf_counter()
    found = work()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "others": max(busy_seconds() - busy - cpu, 0.0) / seconds,
    }, found


def problem(files: Files, queries: int, gallery: int | None = None) -> Problem:
    """Load the first queries and items."""
    return Problem(
        files.vectors("query")[:queries],
        files.vectors("gallery")[:gallery],
        files.labels("query")[:queries],
        files.labels("gallery")[:gallery],
    )


def peer(files: Files, system: str, queries: int) -> Result:
    """Time a system behind its adapter; a small problem first, to load and compile."""
    adapter = load(system)
    asked = [metric for metric in METRICS if adapter.offers(metric)]
    whole = problem(files, queries)
    adapter.score(problem(files, 32, 2000), asked)
    result, values = timed(lambda: adapter.score(whole, asked))
    return result | {"values": values, "name": adapter.NAME, "version": adapter.VERSION}


def own(files: Files, system: str, queries: int, subsets: list[int]) -> Result:
    """Time the ranks with the metrics, and tell the values over the first queries alone, too."""
    from benchmarks.conformance.speed import ours

    whole = problem(files, queries)
    ours.values(ours.ranks(problem(files, 32, 2000)))
    result, ranks = timed(lambda: ours.scored(whole))
    values = {str(number): ours.values(ranks, number) for number in [queries, *subsets]}
    return result | {"values": values, "name": ours.NAME, "version": ours.VERSION}


def limit(files: Files, queries: int) -> Result:
    """Time the bare matrix product in several shapes and keep the fastest."""
    from benchmarks.conformance.speed import ours

    whole = problem(files, queries)
    results = []
    for shape in ((256, 4096), (1024, 8192), (256, len(whole.gallery))):
        ours.product(problem(files, 32, 2000), shape)
        result, _ = timed(lambda shape=shape: ours.product(whole, shape))
        results.append(result | {"shape": list(shape)})
    fastest = min(results, key=lambda one: one["seconds"])
    return fastest | {"values": {}, "name": "matrix product", "version": f"torch {ours.TORCH}"}


def growth(files: Files, sizes: list[int]) -> Result:
    """Time ours from a mapped gallery of every size, and the bare product of the same rows."""
    from benchmarks.conformance.speed import ours

    gallery, labels = files.vectors("gallery", mapped=True), files.labels("gallery")
    query, query_labels = files.vectors("query"), files.labels("query")
    ours.mapped(query, gallery[:4096], query_labels, labels[:4096])
    points = []
    for size in sizes:
        runs = []
        for _ in range(3):
            with ours.private_memory() as memory:
                found, values = timed(
                    lambda size=size: ours.mapped(
                        query, gallery[:size], query_labels, labels[:size]
                    )
                )
            bare, _ = timed(lambda size=size: ours.mapped_product(query, gallery[:size]))
            runs.append(found | {"private_mb": memory.peak, "product": bare["seconds"]})
        middle = sorted(runs, key=lambda run: run["seconds"])[1]
        product = sorted(run["product"] for run in runs)[1]
        points.append(middle | {"size": size, "product": product, "values": values})
    return {"points": points}


def run(job: dict[str, Any]) -> Result:
    """Do what the job says."""
    files, system = Files(Path(job["folder"])), job["system"]
    if system == "growth":
        return growth(files, job["sizes"])
    if system == "matrix product":
        return limit(files, job["queries"])
    if system == "ranks":
        return own(files, system, job["queries"], job["subsets"])
    assert system in FILES
    return peer(files, system, job["queries"])


def main() -> None:
    """Run the job named first and write the result to the file named second."""
    job = json.loads(Path(sys.argv[1]).read_text())
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        result = run(job)
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    Path(sys.argv[2]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
