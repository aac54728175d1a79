"""``lookalike check``."""

from __future__ import annotations

import json
from collections.abc import Sequence

from lookalike.assembly.brief_draws import brief_draws
from lookalike.assembly.job import build_job
from lookalike.assembly.load import load_run
from lookalike.assembly.model import STOPS
from lookalike.assembly.report import check_report
from lookalike.cli.trained import reported_later
from lookalike.errors import SetupError
from lookalike.screen import print_result


def run_check(
    config: str,
    overrides: Sequence[str],
    *,
    as_json: bool,
    allow_import: Sequence[str],
    strict_device: bool,
) -> None:
    """Build a run without starting it and print what it consists of.

    Raises:
        SetupError: If pretrained weights are missing, after the report.
    """
    run = load_run(config, overrides, allow_import=allow_import)
    with brief_draws(), reported_later():
        job = build_job(
            run,
            training=run.config.DataLoader.Train is not None,
            strict_device=strict_device,
            need_weights=False,
        )
        report = check_report(job)
    stops = [note.removeprefix(STOPS).strip() for note in job.notes if note.startswith(STOPS)]
    if as_json:
        print_result(json.dumps(report.facts, indent=1))
    else:
        verdict = "training would stop, see below." if stops else "nothing stands in the way."
        print("\n".join([*report.lines(), f"{config}: {verdict}"]))  # noqa: T201
    if stops:
        # the exit code is that of train
        raise SetupError("\n".join(stops))
