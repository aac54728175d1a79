"""Trained models on the command line: built from a YAML, a model or both, and reported."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from lookalike.assembly.job import Job
from lookalike.errors import ModelWarning, presentable
from lookalike.training import RunLog


@contextmanager
def reported_later() -> Iterator[None]:
    """Leave it to :func:`report_model` to warn of a model that is built."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=ModelWarning)
        yield


def report_model(job: Job, log: RunLog, parts: Collection[str]) -> None:
    """Log which model is used, what may be wrong with it, and the notes.

    Args:
        job: The model and its data.
        log: Of the command; if it is quiet, warnings go to stderr.
        parts: Parts of the model whose weights must not be random.
    """
    settings = job.run.config.Global
    if job.source is not None:
        log.line(f"Model: {job.source}")
    else:
        why = "" if settings.pretrained_model is False else f"; none is in {settings.output_dir}"
        log.line(f"Model: as the configuration starts it, no trained model{why}")
    for doubt in [*job.doubts, job.untrained(parts)]:
        if doubt:
            log.line(f"WARNING: {doubt}")
            if log.console.quiet:
                print(presentable(f"WARNING: {doubt}"), file=sys.stderr)  # noqa: T201
    for note in job.notes:
        log.line(f"note: {note}")
