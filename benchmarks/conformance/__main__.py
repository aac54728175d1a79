"""Print who passes what and write ``benchmarks/conformance_<date>.md``."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.conformance.cases import all_cases
from benchmarks.conformance.environments import (
    ROOT,
    add_arguments,
    interpreters,
    machine,
    run_module,
)
from benchmarks.conformance.systems import FILES

Result = dict[str, Any]
CAUSES = {
    "PaddleClas (procedure)": "It counts the rank of the last relevant item from 0 (mINP), leaves "
    "excluded items in the ranking at similarity 0, averages means of blocks by the size of the "
    "block instead of its answerable queries, and breaks ties by the order of the rows.",
    "pytorch-metric-learning": "It holds labels as float32, divides mAP@k by all relevant items, "
    "takes FAISS's -1 for the last item, and breaks ties by the order of the rows.",
    "open-metric-learning": "It counts lone queries as 0 (precision: NaN), divides mAP@k by the "
    "relevant items found, and breaks ties by the order of the rows.",
    "fast-reid (compiled)": "Its curve is as long as the gallery, at most 50; the end of the "
    "curve of a query with fewer items left is that of the query before; it breaks ties by the "
    "order of the rows.",
    "torchmetrics": "Its RetrievalMAP and RetrievalMRR take an item for irrelevant if its score is "
    "not above 0, which is behind most failures; mAP@k is divided by the relevant items found; "
    "RetrievalRecall is the share of relevant items found, and RetrievalHitRate what is called "
    "recall here; ties by the order of the rows.",
}
"""What is behind the failures, from the programs; a constant, as the peers' versions are."""


def judged(found: dict[str, str | None]) -> tuple[list[Result], list[str]]:
    """Return the verdicts of every installed system, and what could not be run."""
    results, missing = [], []
    for system, environment in FILES.items():
        interpreter = found[environment]
        if interpreter is None:
            missing.append(f"{system}: no environment '{environment}'")
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "result.json"
            done = run_module(
                interpreter, "benchmarks.conformance.judge", [system, str(path)], threads=1
            )
            if path.exists():
                results.append(json.loads(path.read_text()))
            else:
                missing.append(f"{system}: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return results, missing


def table(results: list[Result]) -> str:
    """Return the table: a row per case, a column per system."""
    lines = [
        "| case | " + " | ".join(f"{r['name']} {r['version']}" for r in results) + " |",
        "|---|" + "---|" * len(results),
    ]
    for row, case in enumerate(all_cases()):
        statuses = [result["verdicts"][row]["status"] for result in results]
        lines.append(f"| {case.name} | " + " | ".join(statuses) + " |")
    counts = []
    for result in results:
        statuses = [verdict["status"] for verdict in result["verdicts"]]
        counts.append(f"{statuses.count('pass')} of {len(statuses) - statuses.count('-')}")
    lines.append("| **passed of those offered** | " + " | ".join(counts) + " |")
    return "\n".join(lines)


def reasons(results: list[Result]) -> str:
    """Return why each failure is one."""
    lines = []
    for result in results:
        failures = [v for v in result["verdicts"] if v["status"] == "FAIL"]
        if failures:
            lines += [f"### {result['name']} {result['version']}", ""]
            lines += [CAUSES[result["name"]], ""] if result["name"] in CAUSES else []
            lines += [f"- **{v['case']}**: {v['reason']}" for v in failures] + [""]
    return "\n".join(lines) or "None.\n"


def report(results: list[Result], missing: list[str], today: str) -> str:
    """Return the dated report."""
    definitions = "\n".join(f"- **{case.name}**: {case.definition}" for case in all_cases())
    absent = "".join(f"\nNot run: {line}." for line in missing)
    return f"""# Conformance of retrieval metrics

{today}. {machine()}. Made by `python -m benchmarks.conformance`.

Right answers come from sorting every query's whole gallery in float64
(`benchmarks/conformance/truth.py`); an answer passes within 1e-6. Each system is asked with the
options that come nearest to the definition, so a failure is one that options do not mend; `-` means
that the system has no such metric or rule. A failure may be another definition under the same name:
the reason says what came out. "PaddleClas (procedure)" is our own transcription of PaddleClas's
documented evaluation on paddle tensors, because its package on PyPI comes without metrics.
fast-reid's evaluator is compiled from the source in the package `fastreid`.{absent}

{table(results)}

## Definitions

{definitions}

## Failures

{reasons(results)}"""


def main() -> None:
    """Judge, print, write; exit with 1 if Lookalike fails a case."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conformance", description=__doc__)
    add_arguments(parser)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks", help="the report's folder")
    arguments = parser.parse_args()
    results, missing = judged(interpreters(arguments))
    today = datetime.date.today().isoformat()
    print(table(results), "\n", reasons(results), *missing, sep="\n")
    text = report(results, missing, today).rstrip() + "\n"
    (arguments.out / f"conformance_{today}.md").write_text(text)
    own = [r for r in results if r["name"] == "Lookalike"]
    if not own or any(v["status"] == "FAIL" for v in own[0]["verdicts"]):
        sys.exit("Lookalike does not pass.")


if __name__ == "__main__":
    main()
