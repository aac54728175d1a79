"""``lookalike eval``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from lookalike.assembly.job import build_job
from lookalike.assembly.run_model import run_and_model
from lookalike.assembly.untrained import parts_of_evaluation
from lookalike.cli.trained import report_model, reported_later
from lookalike.durable import write_whole
from lookalike.retrieval import RetrievalResult
from lookalike.screen import print_result
from lookalike.training import RunLog


def run_evaluation(
    config: str | None,
    overrides: Sequence[str],
    *,
    model: str | None = None,
    json_file: str | None,
    tables: str | None,
    allow_import: Sequence[str],
    allow_missing: Sequence[str],
    strict_device: bool,
) -> None:
    """Evaluate a model on the data of a YAML and print its metrics."""
    run, source = run_and_model(
        config, model, overrides, allow_import=allow_import, evaluating=True
    )
    with reported_later():
        job = build_job(
            run,
            training=False,
            strict_device=strict_device,
            allow_missing=allow_missing,
            model=source,
        )
    log = RunLog(job.folder, "eval", quiet=json_file == "-")
    try:
        report_model(job, log, parts_of_evaluation(run.config))
        result = job.evaluate(log, tables=None if tables is None else Path(tables))
        for line in result_lines(result):
            log.line(line)
        log.record("eval", {"step": 0, **result.values})
        if json_file is not None:
            _write(json_file, result, log)
    finally:
        log.close()


def result_lines(result: RetrievalResult) -> list[str]:
    """Return a line per metric, with its interval, and one that states what was measured."""
    lines = []
    for name, value in result.values.items():
        low, high = result.intervals.get(name, (float("nan"), float("nan")))
        spread = f"  (95% interval {low:.5f} to {high:.5f})" if low == low else ""
        lines.append(f"[Eval] {name}: {value:.5f}{spread}")
    skipped = result.num_queries - result.num_answerable
    left_out = f", {skipped:,} queries without a match left out" if skipped else ""
    lines.append(
        f"[Eval] {result.num_queries:,} queries, gallery of {result.num_gallery:,}{left_out}; "
        f"{result.protocol}"
    )
    return lines


def _write(json_file: str, result: RetrievalResult, log: RunLog) -> None:
    text = json.dumps(result.as_dict(), indent=1)
    if json_file == "-":
        print_result(text)
        return
    path = Path(json_file)
    write_whole(path, text + "\n")
    log.line(f"Wrote {json_file}")
