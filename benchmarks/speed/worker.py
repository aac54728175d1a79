"""One process: one system of one topic, all its cases one after the other.

``python -m benchmarks.speed.worker JOB RESULT``. ``JOB`` is a JSON file: ``topic``, ``system`` (or
``prepare``), ``cases``, ``device``, ``threads``, ``folder``, ``seconds``, ``seed``. The result is
written after every case, so that what was measured survives what comes after.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.speed.plan import Outcome, Topic, Where
from benchmarks.speed.topics import TOPICS
from benchmarks.speed.work import Budget, measure


def find(place: str) -> Callable[..., Any]:
    """Import ``module:function`` of ``systems``."""
    module, _, name = place.partition(":")
    return getattr(import_module(f"benchmarks.speed.systems.{module}"), name)  # type: ignore[no-any-return]


def run_case(topic: Topic, job: dict[str, Any], name: str) -> Outcome:
    """Measure one case; an error is an outcome, too."""
    system, case = topic.system(job["system"]), topic.case(name)
    where = Where(job["device"], job["threads"], job["folder"], job["seed"])
    try:
        if where.device != "cpu" and not system.gpu:
            raise NotImplementedError("runs on the CPU only")
        make = find(system.place)
        cold = system.role == "peer" and not topic.warm
        budget = Budget(job["seconds"], job["least"], cold)
        outcome = measure(lambda: make(case.sizes, where), topic, where, budget)
    except Exception as error:  # noqa: BLE001 - a peer may fail in any way, and others go on
        lines = str(error).strip().splitlines() or [""]
        outcome = Outcome(error=f"{type(error).__name__}: {lines[0][:200]}")
    outcome.system, outcome.case, outcome.version = system.name, name, _version(system.package)
    return outcome


def _version(package: str) -> str:
    try:
        return version(package) if package else ""
    except PackageNotFoundError:
        return ""


def set_threads(threads: int) -> None:
    """Let the libraries that are told by a call use so many threads."""
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(threads if threads > 1 else 0)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def warm_memory() -> None:
    """Free a block as large as the activations of a training step, as every training does.

    From then on the C library keeps blocks of up to that size instead of giving them back to the
    kernel after each step, which would clear them anew for the next one.
    """
    block = bytearray(24_000_000)
    del block


def main() -> None:
    """Do the job named first and write what came out to the file named second."""
    job, answer = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    topic = TOPICS[job["topic"]]
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        if job.get("prepare"):
            find(topic.prepare)([topic.case(name).sizes for name in job["cases"]], job["folder"])
            answer.write_text("[]")
            return
        import_module(f"benchmarks.speed.systems.{topic.system(job['system']).place.split(':')[0]}")
        set_threads(job["threads"])
        warm_memory()
        outcomes = []
        for name in job["cases"]:
            outcomes.append(asdict(run_case(topic, job, name)))
            answer.write_text(json.dumps(outcomes))


if __name__ == "__main__":
    main()
